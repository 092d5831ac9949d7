"""Two runs next to each other: what got slower or faster, and what is noise.

The rounds of a run are its samples: other work on the machine, the clock and the layout of memory differ from round to round. Of both runs
the median over the rounds' medians is taken, and how far their ratio might be off is found by drawing the rounds anew with replacement
DRAWS times (bootstrap). A measurement is slower when the lower end of the middle 99 % of these ratios is above 1 + MARGIN, and faster when
the upper end is below 1 - MARGIN; where cores were shared with others, neither is said. The margin is for what rounds of one run have in
common: two runs of the same program differ by so much.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tvm_rank.bench.results import ENGINE, Key, Measurement, Results, threads_text
from tvm_rank.errors import BenchError

DRAWS, SEED = 4000, 0
INTERVAL = (0.5, 99.5)  # percent
MARGIN = 0.05
LEAST_ROUNDS = 3
BUSIER = 0.25  # cores that others may use beyond those that were free, or in one run more than in the other
SLOWER, FASTER, SAME, UNKNOWN = "slower", "faster", "the same", "too few rounds"
SHARED = "cores were shared"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A measurement of both runs. ratio: of the new time to the old one · low, high: how far it might be off · shared: in one of the runs
    others used the cores that it needed, so that its times have waiting in them."""

    old: Measurement
    new: Measurement
    ratio: float
    low: float
    high: float
    shared: bool = False

    @property
    def verdict(self) -> str:
        """slower, faster, the same, or why that cannot be said."""
        if min(len(self.old.rounds_us), len(self.new.rounds_us)) < LEAST_ROUNDS:
            return UNKNOWN
        found = SLOWER if self.low > 1 + MARGIN else FASTER if self.high < 1 - MARGIN else SAME
        return SHARED if self.shared and found != SAME else found


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """changes: what both runs measured · missing, added: names of what the new run lacks, and of what the old one lacks · warnings: why the
    figures may not be comparable."""

    changes: tuple[Change, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def open(self) -> list[Change]:
        """Measurements of the engine of which nothing can be said."""
        return [change for change in self.changes if change.verdict in (UNKNOWN, SHARED) and change.new.contestant == ENGINE]

    @property
    def slower(self) -> list[Change]:
        """Measurements of the engine that got slower; baselines only tell of the machine."""
        return [change for change in self.changes if change.verdict == SLOWER and change.new.contestant == ENGINE]


def compare(old: Results, new: Results) -> Comparison:
    """What changed from `old` to `new`. Raises BenchError when they have no measurement in common."""
    before = {one.key: one for one in old.measurements}
    after = {one.key: one for one in new.measurements}
    changes = tuple(
        dataclasses.replace(_change(before[key], one), shared=_is_shared(old, before[key]) or _is_shared(new, one))
        for key, one in after.items()
        if key in before
    )
    if not changes:
        raise BenchError("the two runs have no measurement in common; measure the same workloads, batch sizes and threads")
    missing, added = (tuple(_told(key) for key in one if key not in other) for one, other in ((before, after), (after, before)))
    return Comparison(changes=changes, missing=missing, added=added, warnings=tuple(_warnings(old, new)))


def _told(key: Key) -> str:
    workload, items, threads, name = key
    return f"{workload}, {items} items, {threads_text(threads)}, {name}"


def _change(old: Measurement, new: Measurement) -> Change:
    rng = np.random.default_rng(SEED)
    ratios = _medians(rng, new.rounds_us) / _medians(rng, old.rounds_us)
    low, high = (float(value) for value in np.percentile(ratios, INTERVAL))
    return Change(old=old, new=new, ratio=float(np.median(new.rounds_us) / np.median(old.rounds_us)), low=low, high=high)


def _is_shared(run: Results, one: Measurement) -> bool:
    """Whether others and the hypervisor left fewer cores than a measurement had threads. Of servers that is not known."""
    cores = run.conditions.get("usable_cores")
    return cores is not None and not one.machine and one.foreign + one.steal > cores - one.threads + BUSIER


def _medians(rng: np.random.Generator, rounds: Sequence[float]) -> np.ndarray:
    """Medians of the rounds, drawn anew: (DRAWS,)."""
    values = np.array(rounds)
    return np.median(values[rng.integers(0, len(values), (DRAWS, len(values)))], axis=1)


def _warnings(old: Results, new: Results) -> list[str]:
    found = []
    for name in ("cpu", "usable_cores", "governor"):
        if old.conditions.get(name) != new.conditions.get(name):
            found.append(
                f"{name} was {old.conditions.get(name)} and is {new.conditions.get(name)}: this compares machines, not programs"
            )
    was_busy, is_busy = (_busy(one) for one in (old, new))
    if abs(was_busy - is_busy) > BUSIER:
        found.append(
            f"others and the hypervisor took {was_busy:.2f} cores then and {is_busy:.2f} now: measure again on a quiet machine"
        )
    for threads, figures in new.ceilings.items():
        for name, now in figures.items():
            was = old.ceilings.get(threads, {}).get(name)
            if was and not 1 - 2 * MARGIN < now / was < 1 + 2 * MARGIN:
                found.append(f"the machine itself changed: {name} with {threads} threads was {was:g} and is {now:g}")
    return found


def _busy(results: Results) -> float:
    """Cores that were not there for a run, in the mean over its measurements."""
    return float(np.mean([one.foreign + one.steal for one in results.measurements]))
