"""boundaries: id = count of boundaries <= value, so equality goes right and NaN lands in bucket 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.procedure import Procedure

VECTOR = 32  # float32 that are compared with a boundary at once
MOST_COMPARED = 256  # boundaries; halving is quicker beyond


def arrays(values: Sequence[float]) -> dict[str, np.ndarray]:
    """The constant array of a column: float32 values, kept as float64."""
    return {"boundaries": np.asarray(values, np.float32).astype(np.float64)}


def emit(scope, value):
    """The id (int64) of a float32."""
    return _search(value, scope.int("boundaries_at"), scope.int("boundaries_count"), scope.float_at)


def _search(value, first, count, boundary: Callable[[Any], Any]):
    """A binary search by halving, whose comparisons are the definition's own `boundary <= value`."""
    wide = intrin.let(T.cast(value, "float64"))
    base, left = intrin.local("int64", first), intrin.local("int64", count)
    # the answer is in base .. base + left; how often this halves does not depend on the value, so no branch is mispredicted
    with T.While(left[0] > T.int64(1)):
        half = intrin.let(T.shift_right(left[0], T.int64(1)))
        passed = boundary(base[0] + half - T.int64(1)) <= wide
        intrin.assign(base, T.Select(passed, base[0] + half, base[0]))
        intrin.assign(left, left[0] - half)
    last = T.if_then_else(left[0] > T.int64(0), boundary(base[0]) <= wide, T.bool(False))
    return intrin.let(base[0] - first + T.cast(last, "int64"))


def _emit_many(values, boundaries, count, rows, out) -> None:
    whole = intrin.let(T.if_then_else(count <= T.int64(MOST_COMPARED), rows // T.int64(VECTOR), T.int64(0)))
    counts = intrin.array(VECTOR, "int32")
    with T.serial(whole) as group:
        at = intrin.let(group * T.int64(VECTOR))
        with T.vectorized(T.int64(VECTOR)) as lane:
            T.buffer_store(counts, T.int32(0), [lane])
        with T.serial(count) as k:
            boundary = intrin.let(T.cast(boundaries[k], "float32"))
            with T.vectorized(T.int64(VECTOR)) as lane:
                passed = T.Select(boundary <= values[at + lane], T.int32(1), T.int32(0))
                T.buffer_store(counts, counts[lane] + passed, [lane])
        with T.vectorized(T.int64(VECTOR)) as lane:
            T.buffer_store(out, T.cast(counts[lane], "int64"), [at + lane])
    with T.serial(whole * T.int64(VECTOR), rows) as k:
        T.buffer_store(out, _search(values[k], T.int64(0), count, lambda place: boundaries[place]), [k])


MANY = Procedure(
    "rank_bucketize",
    {"values": "float32*", "boundaries": "float64*", "count": "int64", "rows": "int64", "out": "int64*"},
    _emit_many,
)
"""Write the ids of `rows` numbers by `count` boundaries: few boundaries are all compared, with many numbers at a time."""
