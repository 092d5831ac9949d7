"""Fingerprints: whether two configurations give the same features."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FILE_KEY = "_file"  # keys of fg.json that name a file end so


def fingerprint_of(fg: Mapping[str, Any], hash_function: str, base_dir: pathlib.Path, udfs: Sequence[Any] = ()) -> str:
    """32 hexadecimal digits over the contents of fg.json (spaces and the order of keys aside), the hash function in use, the contents
    of the files that it names, and those of the files where its functions stand."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([fg, hash_function], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
    for name in sorted(set(_files_of(fg))):
        path = base_dir / name
        if path.is_file():
            digest.update(hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
    for file in sorted({udf.file for udf in udfs}):  # whole, since a function may read constants of its module
        path = pathlib.Path(file)
        digest.update(hashlib.blake2b(path.read_bytes() if path.is_file() else file.encode(), digest_size=16).digest())
    return digest.hexdigest()


def _files_of(value: Any) -> Iterator[str]:
    """The names of files anywhere in the configuration."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str) and str(key).endswith(FILE_KEY):
                yield inner
            else:
                yield from _files_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _files_of(inner)
