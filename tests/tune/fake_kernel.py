"""A kernel with three knobs whose time is a formula, and a measurer that only computes it."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tvm

from tvm_rank.tune.job import Job, Limits
from tvm_rank.tune.journal import Journal
from tvm_rank.tune.measure import Built, Candidate, Effort, Prepared, Timed
from tvm_rank.tune.records import Choice, Session

SESSION = Session(target="t", processor="p", version="1", tvm_version="2", threads=1, batch_sizes=(8, 64))
BEST = {"width": 8, "depth": 4, "ahead": 16}


class Kernel:
    """Fastest at BEST; `depth` 32 cannot be built, `ahead` 64 crashes."""

    operator, calls = "fake", 1

    def __init__(self, name: str = "kernel"):
        self.name = name

    @property
    def default(self) -> Choice:
        return {"width": 1, "depth": 1, "ahead": 0, "fixed": 3}

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return {"width": (1, 2, 4, 8, 16), "depth": (1, 2, 4, 8, 16, 32), "ahead": (0, 4, 16, 64)}

    def module(self, choice: Choice) -> tvm.IRModule:
        if choice["depth"] == 32:
            raise ValueError("too deep")
        return tvm.IRModule({}, attrs={"choice": str(sorted(choice.items()))})

    def shapes(self, _choice: Choice, rows: int) -> list[list[int]]:
        return [[rows]]

    def record(self, folder: pathlib.Path, rows: int) -> None:
        raise NotImplementedError


def seconds_of(choice: Choice) -> float:
    """The kernel's time."""
    names = list(BEST)
    return 1e-5 * (1 + sum(abs(Kernel().space[n].index(choice[n]) - Kernel().space[n].index(BEST[n])) for n in names))


class Formula:
    """Stands for the measurer; each measurement takes `pause` seconds."""

    def __init__(self, pause: float = 0.0):
        self.pause = pause

    def build(self, wanted: Sequence[Candidate]) -> list[Built]:
        return [Built(candidate=one, path=None if one.error else "made", error=one.error) for one in wanted]

    def measure(self, prepared: Prepared, built: Built, _effort: Effort) -> Timed:
        time.sleep(self.pause)
        choice, default = built.candidate.choice, prepared.task.default
        if built.path is None or choice["ahead"] == 64:
            return Timed(error=built.error or "terminated")
        return Timed(seconds=(seconds_of(choice),) * 2, default_seconds=(seconds_of(default),) * 2)

    def measure_all(self, prepared: Prepared, built: Sequence[Built], effort: Effort) -> Iterator[tuple[Built, Timed]]:
        for one in built:
            yield one, self.measure(prepared, one, effort)

    def discard(self, _built: Built) -> None:
        pass


def prepared(*names: str) -> list[Prepared]:
    """Tasks of these names."""
    sizes = SESSION.batch_sizes
    return [Prepared(task=Kernel(name), calls=("a", "b"), batch_sizes=sizes, default="made") for name in names or ("kernel",)]


def tuned(path: pathlib.Path, trials: int, *, names: Sequence[str] = (), pause: float = 0.0, session: Session = SESSION) -> Job:
    """A finished job."""
    with Journal(path) as journal:
        job = Job(session, journal, Limits(trials=trials), 0, lambda _what: None)
        job.run(Formula(pause), prepared(*names))  # type: ignore[arg-type]
    return job
