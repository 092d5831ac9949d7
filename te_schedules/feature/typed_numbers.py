"""Numbers of a `value_type` on their way out, as `tvm_rank.ops.typed_numbers` defines it: typed, normalized, bucketized."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.bucketize import boundaries, hash_bucket, num_buckets
from te_schedules.feature import formula, normalize

Expr = Any
BOUNDARIES, NUM_BUCKETS = "boundaries", "num_buckets"
HASHES = {"hash_std": "std", "hash_farm": "farm"}
INTEGERS = ("int32", "int64")


@dataclass(frozen=True)
class TypedNumber:
    """`value_type` is float, double, int32 or int64; `normalizer` a shape of `feature/normalize.py`; `bucketizer` boundaries,
    num_buckets, hash_std, hash_farm or "" for numbers. Constants: array `normalizer`, and those of the bucketizer."""

    value_type: str = "float"
    normalizer: Any = None
    bucketizer: str = ""

    @property
    def is_lanes(self) -> bool:
        """True when numbers are rounded to float32 and then normalized by what `dense_numbers.finish` knows."""
        return self.value_type == "float" and not self.bucketizer and normalize.stage(self.normalizer).lanes

    def bind(self, scope) -> None:
        """Read the constants before the row loop."""
        scope.bind("normalizer_at")
        if self.bucketizer == BOUNDARIES:
            scope.bind("boundaries_at", "boundaries_count")
        elif self.bucketizer:
            scope.bind("size", *(("magic",) if self.bucketizer in HASHES else ()))

    def emit(self, scope, number: Expr) -> Expr:
        """The value of a computed float64: float32, float64 or int64."""
        dtype = "float32" if self.value_type == "float" else "float64"

        def constant(k: int) -> Expr:
            return scope.float("normalizer", k)

        value = normalize.emit(self.normalizer, intrin.let(T.cast(number, dtype)), constant, dtype)
        return _truncated(value, self.value_type) if self.value_type in INTEGERS else value

    def emit_number(self, scope, number: Expr) -> Expr:
        """The value as float32."""
        return intrin.let(T.cast(self.emit(scope, number), "float32"))

    def emit_id(self, scope, number: Expr) -> Expr:
        """The id (int64) of the value."""
        value = self.emit(scope, number)
        if self.bucketizer == BOUNDARIES:
            return boundaries.emit(scope, intrin.let(T.cast(value, "float32")))
        if self.bucketizer == NUM_BUCKETS:
            return num_buckets.clamp(scope, value)
        return _hash_of_bits(scope, value, HASHES[self.bucketizer])


def _truncated(value: Expr, value_type: str) -> Expr:
    """An int64: towards zero; beyond the type its nearest end, NaN 0."""
    whole = intrin.let(formula.truncated(value))
    if value_type == "int64":
        return whole
    return intrin.let(T.min(T.max(whole, tirx.const(-(2**31), "int64")), tirx.const(2**31 - 1, "int64")))


def _hash_of_bits(scope, value: Expr, hash_function: str) -> Expr:
    """hash(bytes of the float) % size, 0 for both zeros; every NaN has the bytes of the one without sign and payload."""
    dtype = str(value.ty.dtype)
    value = intrin.let(T.if_then_else(T.isnan(value), tirx.const(math.nan, dtype), value))
    bits = intrin.array(1, dtype)
    hashed = intrin.local("int64", 0)
    with T.If(formula.differ(value, tirx.const(0.0, dtype))), T.Then():
        T.buffer_store(bits, value, [0])
        hashing: Callable = hash_bucket.HASHES[hash_function]
        address = intrin.let(intrin.address_of(bits))
        word = hashing(address, T.int64(4 if dtype == "float32" else 8))
        intrin.assign(hashed, word.remainder(scope.int("size"), scope.int("magic")))
        intrin.keep(bits)
    return intrin.let(hashed[0])
