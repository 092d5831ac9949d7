"""A configuration as a user gave it: a file, or a mapping."""

from __future__ import annotations

import json
import os
import pathlib


def base_dir_of(features: object, base_dir: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    """Where the files lie that a configuration names: beside it, unless said otherwise."""
    if base_dir is not None:
        return base_dir
    return os.path.dirname(os.path.abspath(features)) if isinstance(features, (str, os.PathLike)) else "."


def text_of(features: object) -> str:
    """The configuration as JSON text."""
    if isinstance(features, (str, os.PathLike)):
        return pathlib.Path(features).read_text(encoding="utf-8")
    return json.dumps(features, ensure_ascii=False, indent=1)
