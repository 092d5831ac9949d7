"""exp and log of many doubles at once, in steps that are vector instructions, so that a formula need not call the C library.

Errors are below two units in the last place of the double. Each step is a function of lanes, and its results are kept in an array,
because TVM would put an expression that is used twice in both places.

    exp    x = k ln2 + r, |r| <= ln2 / 2: 2**k times the Taylor polynomial of r
    log    x = 2**k m, sqrt(1/2) <= m < sqrt(2): k ln2 + log(m), which is 2 atanh((m - 1) / (m + 1)) as a polynomial
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

Expr = Any
Write = Callable[..., Any]  # (function of lanes, values...) -> value

LN2_HIGH, LN2_LOW = (
    float.fromhex("0x1.62e42fee00000p-1"),
    float.fromhex("0x1.a39ef35793c76p-33"),
)  # together ln 2; 20 low bits are 0
ROUNDING = 1.5 * 2.0**52  # a double plus this has the integer next to it in its low bits
ROUNDING_BITS = 0x4338000000000000
ONE_BITS, SQRT_HALF_BITS = 0x3FF0000000000000, 0x3FE6A09E667F3BCD
EXP_DEGREE, LOG_TERMS = 13, 11


def _f(value: float) -> Expr:
    return tirx.const(value, "float64")


def _i(value: int) -> Expr:
    return tirx.const(value, "int64")


def _bits(x: Expr) -> Expr:
    return T.reinterpret("int64", x)


def _number(bits: Expr) -> Expr:
    return T.reinterpret("float64", bits)


def _polynomial(x: Expr, coefficients: list[float]) -> Expr:
    """Coefficients from the highest power down."""
    total = _f(coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + _f(coefficient)
    return total


def exp(write: Write, x: Any) -> Any:
    """e ** x: inf beyond the largest double, 0 below the smallest, NaN of NaN."""
    inside = write(lambda a: T.Select(a < _f(-746.0), _f(-746.0), T.Select(a > _f(710.0), _f(710.0), a)), x)
    shifted = write(lambda a: a * _f(1 / math.log(2)) + _f(ROUNDING), inside)
    rest = write(lambda a, t: (a - (t - _f(ROUNDING)) * _f(LN2_HIGH)) - (t - _f(ROUNDING)) * _f(LN2_LOW), inside, shifted)
    power = write(lambda r: _polynomial(r, [1 / math.factorial(n) for n in range(EXP_DEGREE, -1, -1)]), rest)

    def half(t: Expr) -> Expr:
        return T.shift_right(_bits(t) - _i(ROUNDING_BITS), _i(1))

    def scaled(p: Expr, t: Expr) -> Expr:  # two factors, because 2**k alone may be no double
        other = _bits(t) - _i(ROUNDING_BITS) - half(t)
        return p * _number(T.shift_left(half(t) + _i(1023), _i(52))) * _number(T.shift_left(other + _i(1023), _i(52)))

    return write(scaled, power, shifted)


def log(write: Write, x: Any) -> Any:
    """The natural logarithm: -inf of 0, NaN below, inf of inf, NaN of NaN."""
    normal = write(lambda a: T.Select(a < _f(2.0**-1022), a * _f(2.0**54), a), x)

    def exponent(a: Expr) -> Expr:
        return T.shift_right(_bits(a) - _i(SQRT_HALF_BITS), _i(52))

    mantissa = write(lambda a: _number(_bits(a) - T.shift_left(exponent(a), _i(52))), normal)
    power = write(lambda a, whole: T.cast(exponent(a), "float64") - T.Select(whole < _f(2.0**-1022), _f(54.0), _f(0.0)), normal, x)
    ratio = write(lambda m: (m - _f(1.0)) / (m + _f(1.0)), mantissa)
    square = write(lambda s: s * s, ratio)
    series = write(lambda z: z * _polynomial(z, [2 / (2 * n + 1) for n in range(LOG_TERMS, 0, -1)]), square)
    # log m = 2 s + s * series, and 2 s = f - s f with f = m - 1, where f is exact
    finite = write(
        lambda m, s, t, k: k * _f(LN2_HIGH) + ((m - _f(1.0)) - (s * ((m - _f(1.0)) - t) - k * _f(LN2_LOW))),
        mantissa, ratio, series, power,
    )  # fmt: skip

    def special(a: Expr, y: Expr) -> Expr:
        negative = T.Select(a == _f(0.0), _f(-math.inf), _f(math.nan))
        return T.Select(a > _f(0.0), T.Select(a < _f(math.inf), y, a), T.Select(a <= _f(0.0), negative, a))

    return write(special, x, finite)


FUNCTIONS: dict[str, Callable[[Write, Any], Any]] = {
    "exp": exp,
    "log": log,
    "ln": log,
    "sigmoid": lambda write, x: write(lambda e: _f(1.0) / (_f(1.0) + e), exp(write, write(lambda a: -a, x))),
}
