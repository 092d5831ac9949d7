"""A folder for what tuning needs meanwhile. One that a killed process left behind is removed by the next: it may hold tables of gigabytes."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # a system without it: what is left behind stays
    fcntl = None  # type: ignore[assignment]

PREFIX, LOCK = "tvm-rank-tune-", "lock"


@contextlib.contextmanager
def scratch() -> Iterator[pathlib.Path]:
    """A new folder, gone afterwards."""
    _remove_left()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, open(pathlib.Path(name, LOCK), "w", encoding="utf-8") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield pathlib.Path(name)


def _remove_left() -> None:
    """Remove the folders whose process is gone: nobody holds their lock."""
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if fcntl is not None else ():
        try:
            with open(folder / LOCK, encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # held, another user's, or not yet locked
            continue
