"""A formula over one variable, evaluated in float64. The NumPy definition is `tvm_rank.config.expression.evaluate`.

A shape is the tree without its numbers, so that formulas which differ only in numbers share code:

    ("number", k)  ("variable",)  ("unary", op, a)  ("binary", op, a, b)  ("conditional", test, yes, no)  ("call", name, a, ...)

where k counts the column's float constants. Functions of the C library are called by name; each operation is rounded by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

EARTH_RADIUS_KM = 6371.0


def _f(value: float):
    return tirx.const(value, "float64")


def _truth(condition):
    return T.cast(condition, "float64")


def differ(a, b):
    """Condition: a is not b; true when one is NaN. TVM's own `!=` is false then, and so is what its simplifier makes of `not (a == b)`."""
    return intrin.let(T.cast(a == b, "int32")) == T.int32(0)


def _true(x):
    """Condition: x counts as true, as every number but 0 does, NaN included."""
    return differ(x, _f(0.0))


def _libm(name: str) -> Callable:
    return lambda *args: intrin.let(intrin.libm(name, *args))


def truncated(x):
    """The int64 that x is truncated to; 0 for NaN, clamped at the ends of the range."""
    limit = 2.0**63
    clamped = T.if_then_else(x >= _f(limit), T.max_value("int64"), T.cast(x, "int64"))
    clamped = T.if_then_else(x < _f(-limit), T.min_value("int64"), clamped)
    return T.if_then_else(T.isnan(x), T.int64(0), clamped)


def _bitwise(combine: Callable) -> Callable:
    return lambda a, b: T.cast(combine(truncated(a), truncated(b)), "float64")


BINARY = {
    "||": lambda a, b: _truth(T.Or(_true(a), _true(b))),
    "&&": lambda a, b: _truth(T.And(_true(a), _true(b))),
    "|": _bitwise(T.bitwise_or),
    "&": _bitwise(T.bitwise_and),
    "<=": lambda a, b: _truth(a <= b),
    ">=": lambda a, b: _truth(a >= b),
    "!=": lambda a, b: _truth(differ(a, b)),
    "==": lambda a, b: _truth(a == b),
    "<": lambda a, b: _truth(a < b),
    ">": lambda a, b: _truth(a > b),
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: intrin.rounded(a * b),
    "/": lambda a, b: a / b,
    "^": _libm("pow"),
}
UNARY = {"-": lambda a: -a, "+": lambda a: a, "!": lambda a: _truth(T.Not(_true(a)))}


def _round_half_away(x):
    return _libm("round")(x)


def _round_places(x, places):
    scale = intrin.let(_libm("pow")(_f(10.0), _libm("trunc")(places)))
    return _round_half_away(intrin.rounded(x * scale)) / scale


def _sigmoid(x):
    return _f(1.0) / (_f(1.0) + _libm("exp")(-x))


def _sign(x):
    return T.if_then_else(x > _f(0.0), _f(1.0), T.if_then_else(x < _f(0.0), _f(-1.0), _f(0.0)))


def _clip(x, low: float, high: float):
    return T.if_then_else(x < _f(low), _f(low), T.if_then_else(x > _f(high), _f(high), x))


def _radians(lng1, lat1, lng2, lat2):
    turn = _f(math.pi / 180.0)
    return (
        intrin.let(intrin.rounded(lat1 * turn)),
        intrin.let(intrin.rounded(lat2 * turn)),
        intrin.let(intrin.rounded((lng2 - lng1) * turn)),
    )


def _haversine(*degrees):
    """Great-circle distance in km between (lng1, lat1) and (lng2, lat2), by the haversine formula."""
    sin, cos = _libm("sin"), _libm("cos")
    a, b, turn = _radians(*degrees)
    u, v = intrin.let(sin((b - a) / _f(2.0))), intrin.let(sin(turn / _f(2.0)))
    h = intrin.let(intrin.rounded(u * u) + intrin.rounded(intrin.rounded(cos(a) * cos(b)) * intrin.rounded(v * v)))
    return _f(2 * EARTH_RADIUS_KM) * _libm("asin")(_libm("sqrt")(_clip(h, 0.0, 1.0)))


def _sphere_dist(*degrees):
    """The same distance by the law of cosines."""
    sin, cos = _libm("sin"), _libm("cos")
    a, b, turn = _radians(*degrees)
    cosine = intrin.let(intrin.rounded(sin(a) * sin(b)) + intrin.rounded(intrin.rounded(cos(a) * cos(b)) * cos(turn)))
    return _f(EARTH_RADIUS_KM) * _libm("acos")(_clip(cosine, -1.0, 1.0))


def _fold(combine: Callable) -> Callable:
    return lambda *args: reduce(lambda a, b: intrin.let(combine(a, b)), args)


def _average(*args):
    return _fold(lambda a, b: a + b)(*args) / _f(float(len(args)))


FUNCTIONS: dict[str, Callable] = {
    **{name: _libm(name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh",
                                      "atanh", "log2", "log10", "exp", "sqrt", "rint", "floor", "ceil", "trunc")},
    "log": _libm("log"),
    "ln": _libm("log"),
    "abs": _libm("fabs"),
    "round": _round_half_away,
    "roundp": _round_places,
    "mod": _libm("fmod"),
    "isnan": lambda x: _truth(T.isnan(x)),
    "sign": _sign,
    "sigmoid": _sigmoid,
    "haversine": _haversine,
    "sphere_dist": _sphere_dist,
    "min": _fold(lambda best, value: T.if_then_else(value < best, value, best)),
    "max": _fold(lambda best, value: T.if_then_else(value > best, value, best)),
    "sum": _fold(lambda a, b: a + b),
    "avg": _average,
}  # fmt: skip


def emit(shape: tuple, x, constant: Callable[[int], object]):
    """The value (float64) of the formula at x (float64, bound)."""
    kind, *rest = shape
    if kind == "number":
        return intrin.let(constant(rest[0]))
    if kind == "variable":
        return intrin.let(x)  # a value of its own: TVM takes `x == x` for true and `x - x` for 0, which NaN and infinity are not
    if kind == "unary":
        return intrin.let(UNARY[rest[0]](emit(rest[1], x, constant)))
    if kind == "binary":
        return intrin.let(BINARY[rest[0]](emit(rest[1], x, constant), emit(rest[2], x, constant)))
    if kind == "conditional":
        test, yes, no = (emit(part, x, constant) for part in rest)
        return intrin.let(T.if_then_else(_true(test), yes, no))
    return intrin.let(FUNCTIONS[rest[0]](*(emit(part, x, constant) for part in rest[1:])))
