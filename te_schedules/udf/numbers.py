"""Operations on numbers as Python has them: 64-bit integers that wrap around, floats, and failures in the place of exceptions.

An emitter gives its value; `fail(condition)` emits that the call has no value if the condition holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

Expr = Any
Fail = Callable[[Expr], None]


def f(value: float) -> Expr:
    """A float64."""
    return tirx.const(value, "float64")


def _wrapping(name: str) -> Callable[[Expr, Expr, Fail], Expr]:
    return lambda a, b, _fail: intrin.let(T.call_extern("int64", f"rank_{name}", a, b))


def _floor_parts(a: Expr, b: Expr, fail: Fail) -> tuple[Expr, Expr]:
    """(quotient, remainder) rounded down; the processor traps at 0 and at -2**63 / -1."""
    fail(b == T.int64(0))
    is_minus_one = intrin.let(T.cast(b == T.int64(-1), "int64"))
    divisor = intrin.let(T.Select(T.Or(b == T.int64(0), is_minus_one != T.int64(0)), T.int64(1), b))
    quotient, remainder = intrin.local("int64", tirx.truncdiv(a, divisor)), intrin.local("int64", tirx.truncmod(a, divisor))
    below = T.And(remainder[0] != T.int64(0), T.bitwise_xor(remainder[0], divisor) < T.int64(0))
    with T.If(below), T.Then():
        intrin.assign(quotient, quotient[0] - T.int64(1))
        intrin.assign(remainder, remainder[0] + divisor)
    with T.If(is_minus_one != T.int64(0)), T.Then():
        intrin.assign(quotient, T.call_extern("int64", "rank_sub", T.int64(0), a))
        intrin.assign(remainder, 0)
    return intrin.let(quotient[0]), intrin.let(remainder[0])


def _shift(a: Expr, b: Expr, fail: Fail, *, left: bool) -> Expr:
    fail(b < T.int64(0))
    by = intrin.let(T.max(T.min(b, T.int64(63)), T.int64(0)))
    if not left:
        return intrin.let(T.shift_right(a, by))
    shifted = intrin.Word.of(a) << by
    return intrin.let(T.Select(b > T.int64(63), T.int64(0), shifted.signed))


INTEGER: dict[str, Callable[[Expr, Expr, Fail], Expr]] = {
    "+": _wrapping("add"),
    "-": _wrapping("sub"),
    "*": _wrapping("mul"),
    "//": lambda a, b, fail: _floor_parts(a, b, fail)[0],
    "%": lambda a, b, fail: _floor_parts(a, b, fail)[1],
    "&": lambda a, b, _fail: intrin.let(T.bitwise_and(a, b)),
    "|": lambda a, b, _fail: intrin.let(T.bitwise_or(a, b)),
    "^": lambda a, b, _fail: intrin.let(T.bitwise_xor(a, b)),
    "<<": lambda a, b, fail: _shift(a, b, fail, left=True),
    ">>": lambda a, b, fail: _shift(a, b, fail, left=False),
}


def libm(name: str, *arguments: Expr) -> Expr:
    """A function of the C library."""
    return intrin.let(intrin.libm(name, *arguments))


def _is_finite(x: Expr) -> Expr:
    return libm("fabs", x) < f(math.inf)


def checked(name: str, fail: Fail, *arguments: Expr) -> Expr:
    """A function of the C library; it fails where Python's raises: NaN from numbers, or infinity from finite ones."""
    result = libm(name, *arguments)
    bad = intrin.local("int64", T.cast(T.isnan(result), "int64"))
    for argument in arguments:
        intrin.assign(bad, T.bitwise_and(bad[0], T.cast(T.Not(T.isnan(argument)), "int64")))
    infinite = intrin.local("int64", T.cast(libm("fabs", result) == f(math.inf), "int64"))
    for argument in arguments:
        intrin.assign(infinite, T.bitwise_and(infinite[0], T.cast(_is_finite(argument), "int64")))
    fail(T.bitwise_or(bad[0], infinite[0]) != T.int64(0))
    return result


def _divide(a: Expr, b: Expr, fail: Fail) -> Expr:
    fail(b == f(0.0))
    return intrin.let(a / b)


def _float_parts(a: Expr, b: Expr, fail: Fail) -> tuple[Expr, Expr]:
    """(quotient, remainder) rounded down, as CPython's floats have them: from fmod, with the sign of b."""
    fail(b == f(0.0))
    remainder = intrin.local("float64", libm("fmod", a, b))
    quotient = intrin.local("float64", (a - remainder[0]) / b)
    with T.If(remainder[0] != f(0.0)):
        with T.Then(), T.If(T.cast(b < f(0.0), "int32") != T.cast(remainder[0] < f(0.0), "int32")), T.Then():
            intrin.assign(remainder, remainder[0] + b)
            intrin.assign(quotient, quotient[0] - f(1.0))
        with T.Else():
            intrin.assign(remainder, libm("copysign", f(0.0), b))
    floor = intrin.local("float64", libm("floor", quotient[0]))
    with T.If(quotient[0] - floor[0] > f(0.5)), T.Then():
        intrin.assign(floor, floor[0] + f(1.0))
    with T.If(quotient[0] == f(0.0)), T.Then():
        intrin.assign(floor, libm("copysign", f(0.0), a / b))
    return intrin.let(floor[0]), intrin.let(remainder[0])


FLOAT: dict[str, Callable[[Expr, Expr, Fail], Expr]] = {
    "+": lambda a, b, _fail: intrin.let(intrin.rounded(a + b)),
    "-": lambda a, b, _fail: intrin.let(intrin.rounded(a - b)),
    "*": lambda a, b, _fail: intrin.let(intrin.rounded(a * b)),
    "/": _divide,
    "//": lambda a, b, fail: _float_parts(a, b, fail)[0],
    "%": lambda a, b, fail: _float_parts(a, b, fail)[1],
    "**": lambda a, b, fail: checked("pow", fail, a, b),
}


def whole(x: Expr, name: str, fail: Fail) -> Expr:
    """The int64 of a float rounded by a function of the C library; NaN and what is beyond int64 fail."""
    rounded = libm(name, x)
    inside = intrin.let(T.cast(T.And(rounded >= f(-(2.0**63)), rounded < f(2.0**63)), "int64"))
    fail(inside == T.int64(0))
    return intrin.let(T.if_then_else(inside != T.int64(0), T.cast(rounded, "int64"), T.int64(0)))


ROUNDINGS = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "rint"}
FREE = ("fabs", "copysign")  # they never raise
RADIANS, DEGREES = math.pi / 180.0, 180.0 / math.pi


def of_math(name: str, arguments: list[Expr], fail: Fail) -> Expr:
    """A function of Python's module math whose result is a float."""
    if name == "radians":
        return intrin.let(intrin.rounded(arguments[0] * f(RADIANS)))
    if name == "degrees":
        return intrin.let(intrin.rounded(arguments[0] * f(DEGREES)))
    return libm(name, *arguments) if name in FREE else checked(name, fail, *arguments)


def compare(op: str, a: Expr, b: Expr) -> Expr:
    """A comparison of two bound numbers as int64 0 or 1; NaN is equal to nothing."""
    if op == "!=":  # TVM's own is false for NaN
        return intrin.let(T.int64(1) - T.cast(a == b, "int64"))
    conditions = {"==": a == b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
    return intrin.let(T.cast(conditions[op], "int64"))
