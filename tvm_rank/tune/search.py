"""Which knobs to try next: random ones first, then changes of the best, those first that a model of the measured ones likes.

The domains are finite and small, a few dozens of values in all; why it is not a search of MetaSchedule is in docs/tuning.md.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm_rank.tune.records import Choice

Key = tuple[tuple[str, Any], ...]
ELITE = 6  # the best ones, of which changes are tried
RANDOM_PART = 0.2  # of each round, so that no part of the space is never looked at
POOL = 24  # changes for each one that is tried, when there is a model to choose among them
LEARN_FROM = 12  # measurements before a model is made
FAILED = 2.0  # log ratio that a model learns for a candidate that failed


@dataclass(frozen=True)
class Measured:
    """A choice, and its time over the default's (infinite when it failed)."""

    choice: Choice
    ratio: float


def identity(choice: Choice) -> Key:
    """A choice as a key."""
    return tuple(sorted(choice.items()))


class Search:
    """Proposals for one task. The same seed and the same measurements give the same proposals."""

    def __init__(self, space: Mapping[str, Sequence[Any]], default: Choice, seed: int):
        self.space = {name: list(values) for name, values in space.items() if len(values) > 1}
        self.default, self.seed = dict(default), seed

    @property
    def size(self) -> int:
        """How many choices there are."""
        return math.prod(len(values) for values in self.space.values())

    def propose(self, measured: Sequence[Measured], known: set[Key], count: int) -> list[Choice]:
        """Up to `count` new choices, none in `known`; fewer when the space has no more, or none were found."""
        rng = random.Random(f"{self.seed} {len(known)}")
        fine = sorted((one for one in measured if math.isfinite(one.ratio)), key=lambda one: one.ratio)
        parents: list[Choice] = [self.default, *(one.choice for one in fine[:ELITE])]
        wild = count if len(fine) < LEARN_FROM else round(count * RANDOM_PART)
        # single changes of the default are as good a start as any choice far from it
        found = self._fresh(lambda: self._changed(rng, self.default) if rng.random() < 0.5 else self._any(rng), wild, known)
        taken = known | {identity(choice) for choice in found}
        model = _Model.of(self.space, measured) if len(measured) >= LEARN_FROM else None
        pool = self._fresh(lambda: self._changed(rng, rng.choice(parents)), (count - len(found)) * (POOL if model else 1), taken)
        return [*found, *(pool if model is None else model.best(pool))[: count - len(found)]]

    def _fresh(self, make: Any, count: int, known: set[Key]) -> list[Choice]:
        found: dict[Key, Choice] = {}
        for _ in range(20 * count):
            if len(found) == count:
                break
            choice = make()
            if (key := identity(choice)) not in known:
                found[key] = choice
        return list(found.values())

    def _any(self, rng: random.Random) -> Choice:
        return self.default | {name: rng.choice(values) for name, values in self.space.items()}

    def _changed(self, rng: random.Random, choice: Choice) -> Choice:
        """One or two knobs changed, by a neighbouring value as often as by any."""
        changed = dict(choice)
        if not self.space:
            return changed
        for name in rng.sample(sorted(self.space), min(len(self.space), rng.choice((1, 1, 2)))):
            values = self.space[name]
            at = values.index(changed[name]) if changed[name] in values else 0
            near = [values[k] for k in (at - 1, at + 1) if 0 <= k < len(values)]
            changed[name] = rng.choice(near if rng.random() < 0.5 else values)
        return changed


class _Model:
    """Gradient-boosted trees over the knobs, the learner of MetaSchedule's cost model, fed with what these kernels are made from."""

    def __init__(self, space: Mapping[str, Sequence[Any]], booster: Any):
        self.space, self.booster = space, booster

    @classmethod
    def of(cls, space: Mapping[str, Sequence[Any]], measured: Sequence[Measured]) -> _Model | None:
        """A model of the measurements; None without xgboost."""
        try:
            import xgboost
        except ImportError:
            return None
        targets = [min(FAILED, math.log(one.ratio)) if math.isfinite(one.ratio) else FAILED for one in measured]
        rows = xgboost.DMatrix(_rows(space, [one.choice for one in measured]), label=targets)
        options = {"max_depth": 4, "eta": 0.2, "nthread": 1, "verbosity": 0, "seed": 0}
        return cls(space, xgboost.train(options, rows, num_boost_round=60))

    def best(self, choices: Sequence[Choice]) -> list[Choice]:
        """The choices, the one with the least predicted time first."""
        import xgboost

        if not choices:
            return []
        predicted = self.booster.predict(xgboost.DMatrix(_rows(self.space, choices)))
        return [choices[k] for k in predicted.argsort(kind="stable")]


def _rows(space: Mapping[str, Sequence[Any]], choices: Sequence[Choice]) -> Any:
    """The knobs as numbers, (choices, knobs) float32."""
    import numpy as np

    return np.array([[_number(choice[name], values) for name, values in space.items()] for choice in choices], np.float32)


def _number(value: Any, values: Sequence[Any]) -> float:
    """A knob as a number; a text by its place among the values."""
    return float(values.index(value)) if isinstance(value, str) else math.log2(1 + float(value))
