"""boundaries: id = count of boundaries <= value, so equality goes right and NaN lands in bucket 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.procedure import Procedure

VECTOR = 32  # float32 that are compared with a boundary at once
MOST_COMPARED = 256  # boundaries; halving is quicker beyond
SCAN = 32  # boundaries that a number is compared with at once; so many float64 may be read behind an array of boundaries

# how many of the first `n` boundaries, SCAN at most, are passed by a number
_COUNT_PASSED = f"""
declare i64 @llvm.ctpop.i64(i64)
define linkonce_odr i64 @rank_count_passed(i64 %boundaries, i64 %n, double %v) alwaysinline {{
  %p = inttoptr i64 %boundaries to ptr %all = load <{SCAN} x double>, ptr %p, align 8
  %v1 = insertelement <{SCAN} x double> poison, double %v, i64 0
  %vs = shufflevector <{SCAN} x double> %v1, <{SCAN} x double> poison, <{SCAN} x i32> zeroinitializer
  %is = fcmp ole <{SCAN} x double> %all, %vs %bits = bitcast <{SCAN} x i1> %is to i{SCAN} %wide = zext i{SCAN} %bits to i64
  %above = shl i64 -1, %n %below = xor i64 %above, -1 %passed = and i64 %wide, %below
  %r = call i64 @llvm.ctpop.i64(i64 %passed) ret i64 %r
}}
"""


def arrays(values: Sequence[float]) -> dict[str, np.ndarray]:
    """The constant array of a column: float32 values, kept as float64."""
    return {"boundaries": np.asarray(values, np.float32).astype(np.float64)}


def emit(scope, value):
    """The id (int64) of a float32."""
    return _search(value, scope.float_address(scope.int("boundaries_at")), scope.int("boundaries_count"))


def _search(value, boundaries, count):
    """The boundaries at an address that are at most the value (`boundary <= value` of float64): halved until SCAN are left, which are all
    compared. The processor cannot foresee which half it is, and LLVM makes a branch of it whatever is written here."""
    wide = intrin.let(T.cast(value, "float64"))
    base, left = intrin.local("int64", 0), intrin.local("int64", count)
    with T.While(left[0] > T.int64(SCAN)):  # the answer is in base .. base + left
        half = intrin.let(T.shift_right(left[0], T.int64(1)))
        passed = intrin.load("float64", boundaries + (base[0] + half - T.int64(1)) * T.int64(8)) <= wide
        intrin.assign(base, T.Select(passed, base[0] + half, base[0]))
        intrin.assign(left, left[0] - half)
    with T.attr(0, "pragma_import_llvm", _COUNT_PASSED):
        rest = T.call_extern("int64", "rank_count_passed", boundaries + base[0] * T.int64(8), left[0], wide)
        return intrin.let(base[0] + rest)


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
        T.buffer_store(out, _search(values[k], intrin.address_of(boundaries), count), [k])


MANY = Procedure(
    "rank_bucketize",
    {"values": "float32*", "boundaries": "float64*", "count": "int64", "rows": "int64", "out": "int64*"},
    _emit_many,
)
"""Write the ids of `rows` numbers by `count` boundaries: few boundaries are all compared, with many numbers at a time."""
