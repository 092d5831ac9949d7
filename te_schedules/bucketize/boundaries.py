"""boundaries: id = count of boundaries <= value, so equality goes right and NaN lands in bucket 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin


def arrays(values: Sequence[float]) -> dict[str, np.ndarray]:
    """The constant array of a column: float32 values, kept as float64."""
    return {"boundaries": np.asarray(values, np.float32).astype(np.float64)}


def emit(scope, value):
    """The id (int64) of a float32: a binary search by halving, whose comparisons are the definition's own `boundary <= value`."""
    wide = intrin.let(T.cast(value, "float64"))
    base, left = intrin.local("int64", scope.int("boundaries_at")), intrin.local("int64", scope.int("boundaries_count"))
    # the answer is in base .. base + left; how often this halves does not depend on the value, so no branch is mispredicted
    with T.While(left[0] > T.int64(1)):
        half = intrin.let(T.shift_right(left[0], T.int64(1)))
        passed = scope.float_at(base[0] + half - T.int64(1)) <= wide
        intrin.assign(base, T.Select(passed, base[0] + half, base[0]))
        intrin.assign(left, left[0] - half)
    last = T.if_then_else(left[0] > T.int64(0), scope.float_at(base[0]) <= wide, T.bool(False))
    return intrin.let(base[0] - scope.int("boundaries_at") + T.cast(last, "int64"))
