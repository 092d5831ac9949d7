"""What a formula means: NumPy in float64, the definition that kernels agree with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tvm_rank.config import vectors
from tvm_rank.config.nodes import Binary, Call, Conditional, Node, Number, Unary, Variable

Array = NDArray[np.float64]

EARTH_RADIUS_KM = 6371.0


def evaluate(node: Node, env: Mapping[str, ArrayLike]) -> Array:
    """The value of the tree, float64, elementwise over the broadcast shapes of `env` (variable -> numbers).

    Comparisons, `&&`, `||` and `!` give 1.0 or 0.0; `&&`, `||` and `?:` take every non-zero number as true, NaN included. `|` and
    `&` work on int64: truncated towards zero, saturated at the ends, NaN as 0. Division by zero gives inf or NaN. A comparison with
    NaN is false, but `!=` true. Both branches of `?:` are computed, one is picked. A variable that `env` lacks raises KeyError.

    `log` is `ln`; `rint` rounds half to even, `round` and `roundp(x, digits)` half away from zero; `mod` has the sign of its first
    argument; `sign(NaN)` is 0; `min` and `max` go from left to right and take an argument that is smaller (larger) than the one so
    far, so that NaN wins only in first place; `avg` divides the sum by the count. `sphere_dist` and `haversine` take degrees and
    give kilometres on a sphere of radius 6371 km, by the law of cosines and by the haversine formula.

    Functions of vectors (`vectors.py`) take the last axis of their arguments away.
    """
    with np.errstate(all="ignore"):
        return _value(node, env)


def _value(node: Node, env: Mapping[str, ArrayLike]) -> Array:
    if isinstance(node, Number):
        return np.asarray(node.value, np.float64)
    if isinstance(node, Variable):
        return np.asarray(env[node.name], np.float64)
    if isinstance(node, Unary):
        return np.asarray(_UNARY[node.op](_value(node.operand, env)), np.float64)
    if isinstance(node, Binary):
        return np.asarray(_BINARY[node.op](_value(node.left, env), _value(node.right, env)), np.float64)
    if isinstance(node, Conditional):
        return np.where(_value(node.test, env) != 0, _value(node.yes, env), _value(node.no, env))
    assert isinstance(node, Call)
    if node.function in vectors.VECTOR_FUNCTIONS:
        return vectors.apply(node.function, *(_value(argument, env) for argument in node.arguments))
    return np.asarray(_FUNCTIONS[node.function](*(_value(argument, env) for argument in node.arguments)), np.float64)


def _int64(x: Array) -> NDArray[np.int64]:
    """Truncated towards zero; beyond int64 the nearest end; NaN is 0."""
    inside = (x >= -(2.0**63)) & (x < 2.0**63)
    ends = np.where(x >= 2.0**63, np.int64(2**63 - 1), np.where(x < 0, np.int64(-(2**63)), np.int64(0)))
    return np.where(inside, np.where(inside, x, 0.0).astype(np.int64), ends)


def _round(x: Array) -> Array:
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.copysign(1.0, x), whole)


def _roundp(x: Array, digits: Array) -> Array:
    scale = np.power(10.0, np.trunc(digits))
    return _round(x * scale) / scale


def _sign(x: Array) -> Array:
    return np.where(x > 0, 1.0, np.where(x < 0, -1.0, 0.0))


def _min(*values: Array) -> Array:
    return reduce(lambda best, value: np.where(value < best, value, best), values)


def _max(*values: Array) -> Array:
    return reduce(lambda best, value: np.where(value > best, value, best), values)


def _sum(*values: Array) -> Array:
    return reduce(np.add, values)


def _avg(*values: Array) -> Array:
    return _sum(*values) / len(values)


def _sphere_dist(lng1: Array, lat1: Array, lng2: Array, lat2: Array) -> Array:
    a, b, turn = np.radians(lat1), np.radians(lat2), np.radians(lng2 - lng1)
    cosine = np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(turn)
    return EARTH_RADIUS_KM * np.arccos(np.clip(cosine, -1.0, 1.0))


def _haversine(lng1: Array, lat1: Array, lng2: Array, lat2: Array) -> Array:
    a, b, turn = np.radians(lat1), np.radians(lat2), np.radians(lng2 - lng1)
    h = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(turn / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0)))


_UNARY: dict[str, Callable] = {"+": lambda x: x, "-": np.negative, "!": lambda x: x == 0}

_BINARY: dict[str, Callable] = {
    "||": lambda a, b: (a != 0) | (b != 0),
    "&&": lambda a, b: (a != 0) & (b != 0),
    "|": lambda a, b: _int64(a) | _int64(b),
    "&": lambda a, b: _int64(a) & _int64(b),
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "!=": np.not_equal,
    "==": np.equal,
    ">": np.greater,
    "<": np.less,
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
}

_FUNCTIONS: dict[str, Callable] = {
    "isnan": np.isnan, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "log2": np.log2, "log10": np.log10, "log": np.log, "ln": np.log, "exp": np.exp, "sqrt": np.sqrt, "sign": _sign, "abs": np.abs,
    "rint": np.rint, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": _round, "roundp": _roundp, "mod": np.fmod,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)), "sphere_dist": _sphere_dist, "haversine": _haversine,
    "min": _min, "max": _max, "sum": _sum, "avg": _avg,
}  # fmt: skip
