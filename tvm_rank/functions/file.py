"""The user-defined functions of a Python file, for the command line."""

from __future__ import annotations

import pathlib
import runpy
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tvm_rank.errors import RankError
from tvm_rank.functions.function import Udf


def read_functions(paths: Sequence[str]) -> tuple[Udf, ...]:
    """All functions under `@tvm_rank.udf` of these files, in order; the files are run, so they are as trusted as any program.

    A file may import what lies beside it. Raises RankError for a file that cannot be read or run, that has no such function, or that has
    one under a name that another file has used.
    """
    found: dict[str, Udf] = {}
    for path in paths:
        functions = [value for value in _run(path).values() if isinstance(value, Udf)]
        if not functions:
            raise RankError(f"{path}: has no function under @tvm_rank.udf; write one, or leave the file out")
        for function in functions:
            other = found.setdefault(function.name, function)
            if other.function is not function.function:
                raise RankError(f"{path}: the function {function.name!r} is also in {other.file}; give one of them another name")
    return tuple(found.values())


def _run(path: str) -> dict[str, object]:
    file = pathlib.Path(path)
    if not file.is_file():
        raise RankError(f"{path}: there is no such file; give a Python file with functions under @tvm_rank.udf")
    try:
        with _beside(file.resolve().parent):
            return runpy.run_path(str(file.resolve()))
    except RankError:
        raise
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file.resolve())]
        where = f"{path}:{lines[-1]}" if lines else path
        raise RankError(f"{where}: cannot be run ({type(error).__name__}: {error}); see that `python {path}` runs") from error


@contextmanager
def _beside(folder: pathlib.Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
