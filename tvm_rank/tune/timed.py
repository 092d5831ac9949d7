"""How two kernels are compared: their results, and then their times, in alternation, so that whatever else the machine does meets both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

ENTRY = "kernel"  # the name of a kernel in its library
TOLERANCE = 1e-5  # of the largest number of an output: sums in another order differ by so much
ROUND_S, LEAST_ROUNDS = 2.5e-3, 5  # of runs of one kernel in a round; kernels that take longer are measured in fewer rounds
SHORT_S = 3e-4  # of one run, in which a quick kernel is called several times
FIRST_RUNS = 2  # before times count: pages, caches and the thread pool

Side = tuple[Any, Sequence[Sequence[Any]]]  # a library, and its arguments for each call that is timed


def alternated(candidate: Side, default: Side, device: Any, config: Any) -> list[float]:
    """[candidate, default] in seconds of one call, over up to `config.repeat` rounds of up to `config.number` short runs each.

    The default's time is its least. The candidate's is that times the median over the rounds of the ratio of both: a shared core runs at
    one speed for some milliseconds and at another then, and a round is shorter than that.
    """
    for module, calls in (default, candidate):
        for _ in range(FIRST_RUNS):
            for arguments in calls:
                module[ENTRY](*arguments)
    timers = [_Timer(side, device, config.number) for side in (candidate, default)]
    ratios, least = [], np.inf
    for turn in range(max(LEAST_ROUNDS, min(config.repeat, int(config.repeat * ROUND_S / timers[1].seconds)))):
        order = (0, 1) if turn % 2 else (1, 0)  # neither is always behind the other
        times = {k: timers[k].least() for k in order}
        ratios.append(times[0] / times[1])
        least = min(least, times[1])
    return [float(least * np.median(ratios)), float(least)]


class _Timer:
    """Short runs of a kernel: up to `runs` at a time, fewer when one takes long. `seconds`: of all of them, about."""

    def __init__(self, side: Side, device: Any, runs: int):
        module, self.calls = side
        (first, *_) = self.calls
        once = min(module.time_evaluator(ENTRY, device, number=1, repeat=FIRST_RUNS)(*first).results)
        count = len(self.calls)
        calls, repeat = max(1, int(SHORT_S / once / count)), max(1, min(runs, int(ROUND_S / 2 / once / count)))
        self.seconds = max(SHORT_S, once * count) * repeat
        self._evaluate = module.time_evaluator(ENTRY, device, number=calls, repeat=repeat)

    def least(self) -> float:
        """Seconds of a call, the least of the runs of each: whatever else the machine does only adds to a time."""
        return float(np.mean([min(self._evaluate(*arguments).results) for arguments in self.calls]))


def check(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    """Raise ValueError when results are not those of the default kernel."""
    for k, (got, want) in enumerate(zip(outputs, expected, strict=True)):
        finite = np.isfinite(want) if want.dtype.kind == "f" else np.ones(want.shape, bool)
        if not np.array_equal(got[~finite], want[~finite], equal_nan=want.dtype.kind == "f"):
            raise ValueError(f"output {k} differs from the default kernel's")
        limit = TOLERANCE * max(1.0, float(np.abs(want[finite]).max(initial=0))) if want.dtype.kind == "f" else 0
        difference = float(np.abs(got[finite].astype(np.float64) - want[finite].astype(np.float64)).max(initial=0))
        if not difference <= limit:
            raise ValueError(f"output {k} differs from the default kernel's by {difference}, more than {limit}")


def unwritten(shape: Sequence[int], dtype: str) -> np.ndarray:
    """An output before it is written: NaN, or the largest integer, so that what a kernel leaves out is seen."""
    kind = np.dtype(dtype)
    return np.full(shape, np.nan if kind.kind == "f" else np.iinfo(kind).max, kind)
