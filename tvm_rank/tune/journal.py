"""The file of a tuning database: a line of JSON for each record, only ever added to.

A line is on the disk before the next measurement begins, so that `kill -9` or a power cut costs at most the one that runs. A last line
without its end was torn by such an event and is cut off; damage anywhere else is an error.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from types import TracebackType

from tvm_rank.errors import TuningError
from tvm_rank.tune.records import Record, from_line, to_line

try:
    import fcntl
except ImportError:  # a system without it: nothing keeps two processes apart there
    fcntl = None  # type: ignore[assignment]


def read_journal(path: pathlib.Path) -> tuple[Record, ...]:
    """The records of a file, in order. Raises TuningError when it is not there, or no journal."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise TuningError(f"{path}: cannot be read ({error}); make it with `tvm-rank tune`") from error
    return _records(path, lines[:-1])


def _records(path: pathlib.Path, lines: Sequence[bytes]) -> tuple[Record, ...]:
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(from_line(line.decode()))
        except (ValueError, RecursionError) as error:
            raise TuningError(f"{path}:{number}: no tuning database, or a damaged one ({error}); tune into another file") from error
    return tuple(found)


class Journal:
    """A database that one process adds to; `records` are all that are in it. A context manager."""

    def __init__(self, path: pathlib.Path):
        """Open or create. Raises TuningError for what is no database, or one that another process adds to."""
        self.path = path
        try:
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115  (held as long as the journal is)
        except OSError as error:
            raise TuningError(f"{path}: cannot be written ({error})") from error
        try:
            self._lock()
            self.records = self._recovered()
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TuningError(f"{self.path}: another process tunes into it; wait for it, or give another file") from error

    def _recovered(self) -> tuple[Record, ...]:
        """What is there, without a torn last line."""
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        records = _records(self.path, lines[:-1])
        if lines[-1]:
            self._file.truncate(sum(len(line) + 1 for line in lines[:-1]))
        return records

    def append(self, record: Record) -> None:
        """Add a record; it is on the disk, and in `records`, when this returns. Raises TuningError when it cannot be."""
        try:
            self._file.write(to_line(record).encode() + b"\n")
            os.fsync(self._file.fileno())
            self.records = (*self.records, record)
        except OSError as error:
            raise TuningError(f"{self.path}: cannot be written ({error}); make room and run the same command again") from error

    def close(self) -> None:
        """Let others add to it."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()
