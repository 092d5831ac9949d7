"""Files that are whole or not there: written under another name, and renamed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from tvm_rank.errors import RankError


@contextlib.contextmanager
def written_aside(path: pathlib.Path, what: str) -> Iterator[str]:
    """Give the name of a file to write, which becomes `path` at the end, and is removed when anything goes wrong.

    Raises RankError that says that `what` cannot be written.
    """
    try:
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        try:
            yield aside
            os.chmod(aside, 0o644)
            os.replace(aside, path)
        except BaseException:
            pathlib.Path(aside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RankError(f"{path}: {what} cannot be written ({error})") from error
