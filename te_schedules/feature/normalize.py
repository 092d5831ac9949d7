"""Normalizers of numbers: the formula is part of the kind, its numbers are constants of the column.

`dtype` is the precision of the walk: float32 for numeric columns, float64 for text (docs/features.md). A formula over x is
evaluated in float64 in both.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.dense_numbers import PLAIN, Stage
from te_schedules.feature import formula

# name -> (number of float constants, emitter(x, constants, dtype))
LOG10_2_HIGH, LOG10_2_LOW, INVERSE_LN10 = 3.0102920532e-01, 7.9034151668e-07, 4.3429449201e-01
SMALLEST_NORMAL = 2.0**-126


def _minmax(x, constant: Callable, _dtype: str):
    return (x - constant(0)) / constant(1)  # min, and max - min as a float32


def _zscore(x, constant: Callable, _dtype: str):
    return (x - constant(0)) / constant(1)


def _log10(x, constant: Callable, dtype: str):
    logarithm = formula.FUNCTIONS["log10"](x) if dtype == "float64" else _log10_float32(x)
    return T.if_then_else(x > constant(0), logarithm, constant(1))


def _log10_float32(x):
    """log10f as the C library has had it since fdlibm: in float32, from the logarithm of the mantissa. Its last bit is visible in
    recorded bucket ids, so the correctly rounded value would not do."""
    is_small = intrin.let(x < T.float32(SMALLEST_NORMAL))
    scaled = intrin.let(T.if_then_else(is_small, x * T.float32(2.0**25), x))
    bits = intrin.let(T.reinterpret("int32", scaled))
    exponent = intrin.let(T.shift_right(bits, T.int32(23)) - T.int32(127) - T.if_then_else(is_small, T.int32(25), T.int32(0)))
    negative = intrin.let(T.cast(exponent < 0, "int32"))
    mantissa = T.bitwise_or(T.bitwise_and(bits, T.int32(0x007FFFFF)), T.shift_left(T.int32(127) - negative, T.int32(23)))
    m = intrin.let(T.reinterpret("float32", mantissa))
    y = intrin.let(T.cast(exponent + negative, "float32"))
    ln = T.cast(formula.FUNCTIONS["log"](T.cast(m, "float64")), "float32")
    usual = _product(y, LOG10_2_LOW) + _product(ln, INVERSE_LN10) + _product(y, LOG10_2_HIGH)
    infinite = x == tirx.const(math.inf, "float32")  # NaN fails the threshold before
    return T.if_then_else(infinite, x, usual)


def _product(x, constant: float):
    """x * constant, rounded to float32 before anything is added: it is exact in float64, so no fused operation can keep more."""
    return T.cast(T.cast(x, "float64") * tirx.const(float(np.float32(constant)), "float64"), "float32")


SIMPLE = {"minmax": (2, _minmax), "zscore": (2, _zscore), "log10": (2, _log10)}
LANES = ("minmax", "zscore")  # whose expression may stand in a vector loop


@cache
def stage(shape: Any) -> Stage:
    """A shape for many numbers at a time."""
    if shape is None:
        return PLAIN
    if shape in LANES:
        count, emitter = SIMPLE[shape]
        return Stage(shape, count, True, lambda x, constants, dtype: emitter(x, constants.__getitem__, dtype))
    name = shape if isinstance(shape, str) else hashlib.blake2b(repr(shape).encode(), digest_size=7).hexdigest()
    return Stage(name, 0, False, lambda x, constants, dtype: emit(shape, x, constants, dtype))


def emit(shape, x, constant: Callable[[int], object], dtype: str):
    """The normalized value, in `dtype`, of x.

    shape: None, a name of SIMPLE, or the tree of a formula (`feature/formula.py`) · constant(k): the k-th float64 of the column
    """
    if shape is None:
        return x
    if isinstance(shape, str):
        _, emitter = SIMPLE[shape]
        return intrin.let(emitter(x, lambda k: intrin.let(T.cast(constant(k), dtype)), dtype))
    return intrin.let(T.cast(formula.emit(shape, intrin.let(T.cast(x, "float64")), constant), dtype))


def emit_double(shape, number, is_text, constant: Callable[[int], object]):
    """The float32 of a float64 that was computed from several values: if they came as text (condition `is_text`) it is normalized in
    float64 and then rounded, else it is rounded first and normalized in float32."""
    if shape is None:
        return intrin.let(T.cast(number, "float32"))
    result = intrin.local("float32", 0.0)
    with T.If(is_text):
        with T.Then():
            intrin.assign(result, T.cast(emit(shape, number, constant, "float64"), "float32"))
        with T.Else():
            rounded = intrin.let(T.cast(number, "float32"))
            intrin.assign(result, T.cast(emit(shape, rounded, constant, "float32"), "float32"))
    return intrin.let(result[0])
