"""The journal of an output folder: what is being made there, and which parts are whole, so that a stopped run can go on.

`_transform.jsonl` holds a line of JSON for the run (fingerprints of the configuration and of each input file, and the options that
shape the output), then one for each finished part. A part counts as finished when it has a line and its file is there in full; the
file is renamed first and its line written after it, so a crash between the two only repeats that part.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, TextIO

from tvm_rank.errors import RankError
from tvm_rank.transform.part import GroupError, Part, PartResult

NAME = "_transform.jsonl"
VERSION = 1


class Journal(contextlib.AbstractContextManager["Journal"]):
    """The open journal of a folder; nobody else can open it meanwhile. `done` are the results of finished parts by number."""

    def __init__(self, out: pathlib.Path, header: Mapping[str, Any], parts: Mapping[int, Part], *, resume: bool):
        """Raises RankError when the folder holds something else, another run's parts, or is in use."""
        self._path = out / NAME
        self.done: dict[int, PartResult] = {}
        try:
            out.mkdir(parents=True, exist_ok=True)
            if not self._path.exists() and any(out.iterdir()):
                raise RankError(f"{out}: is not empty, and no transform has written there; give another folder")
            self._file: TextIO = self._path.open("a+", encoding="utf-8")
        except OSError as error:
            raise RankError(f"{out}: cannot be written ({error}); check the folder and the space on its disk") from error
        try:
            self._lock(out)
            self._begin(out, {"version": VERSION, **header}, parts, resume)
        except BaseException:
            self._file.close()
            raise

    def _lock(self, out: pathlib.Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RankError(f"{out}: another transform is writing there; wait for it, or give another folder") from error

    def _begin(self, out: pathlib.Path, header: dict[str, Any], parts: Mapping[int, Part], resume: bool) -> None:
        self._file.seek(0)
        lines = self._file.read().splitlines(keepends=True)
        if len(lines) < 2 and not any(out.glob("part-*")):  # nothing was made yet, so nothing is lost
            self._file.truncate(0)
            self._append(header)
        else:
            if not resume:
                raise RankError(f"{out}: holds the parts of an earlier run; continue it with --resume, or give another folder")
            _check_same(out, _parsed(lines[0]), header)
            for line in lines[1:]:
                if (result := _result(_parsed(line))) is not None and _is_whole(out, parts.get(result.part), result):
                    self.done[result.part] = result
            if not lines[-1].endswith("\n"):
                self._file.write("\n")  # the line that a crash cut short stays alone
        for stale in out.glob(".part-*.tmp"):
            stale.unlink(missing_ok=True)

    def add(self, result: PartResult) -> None:
        """Note a finished part."""
        self.done[result.part] = result
        self._append(dataclasses.asdict(result))

    def _append(self, entry: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RankError(f"{self._path}: cannot be written ({error}); check the folder and the space on its disk") from error

    def __exit__(self, *_error: object) -> None:
        self._file.close()


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _check_same(out: pathlib.Path, was: Any, now: Mapping[str, Any]) -> None:
    if not isinstance(was, dict):
        raise RankError(f"{out}/{NAME}: its first line is damaged, so it is not known what was written; give another folder")
    if changed := [name for name in now if json.loads(json.dumps(now[name])) != was.get(name)]:
        raise RankError(
            f"{out}: cannot be continued, since what was begun there had another {', another '.join(changed)}; "
            "start anew in another folder"
        )


def _result(entry: Any) -> PartResult | None:
    """The result of a line; None for a line that is damaged."""
    try:
        errors = tuple(GroupError(**error) for error in entry["errors"])
        return PartResult(part=entry["part"], rows=entry["rows"], bytes=entry["bytes"], errors=errors)
    except (TypeError, KeyError):
        return None


def _is_whole(out: pathlib.Path, part: Part | None, result: PartResult) -> bool:
    if part is None:
        return False
    file = out / part.name
    return not result.rows or (file.is_file() and file.stat().st_size == result.bytes)
