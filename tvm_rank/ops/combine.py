"""Several numbers to one: the definition of the combiners of lookup_feature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise

Numbers = Sequence[float]


def combine(combiner: str, numbers: Numbers) -> float:
    """The combined number of at least one double, in double, from left to right.

    `sum`, `mean`, `count` · `min` and `max` take a number that is smaller (larger) than the one so far, so that NaN wins only in first
    place · `gap_min` and `gap_max` are the smallest and the largest distance of two neighbours in the order of the numbers, 0 for a
    number alone.
    """
    return COMBINERS[combiner](numbers)


def _sum(numbers: Numbers) -> float:
    return reduce(lambda total, number: total + number, numbers, 0.0)


def _min(numbers: Numbers) -> float:
    return reduce(lambda best, number: number if number < best else best, numbers)


def _max(numbers: Numbers) -> float:
    return reduce(lambda best, number: number if number > best else best, numbers)


def _gaps(numbers: Numbers) -> list[float]:
    return [abs(after - before) for before, after in pairwise(numbers)] or [0.0]


COMBINERS: dict[str, Callable[[Numbers], float]] = {
    "sum": _sum,
    "mean": lambda numbers: _sum(numbers) / len(numbers),
    "min": _min,
    "max": _max,
    "count": lambda numbers: float(len(numbers)),
    "gap_min": lambda numbers: _min(_gaps(numbers)),
    "gap_max": lambda numbers: _max(_gaps(numbers)),
}
