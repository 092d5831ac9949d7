"""The shortest decimal that reads back as a float32, and of those the nearest: digits and an exponent.

R. Giulietti, "The Schubfach way to render doubles" (2021), for float32: the interval of decimals that round to the float is scaled by a
power of ten, from a table of 64 bits each, so that its ends become whole numbers; a multiple of ten inside of it is shorter than others.

    float32(0.1) = 13421773 * 2**-27   ->   1 * 10**-1
"""

from __future__ import annotations

from functools import cache

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word

_LEAST, _MOST = -31, 45  # powers of ten that scale a float32
_TABLE = "power_of_ten_of_float"
_MANTISSA, _BIAS = 23, 127 + 23


@cache
def _powers_of_ten() -> tuple[int, ...]:
    """The 64 leading bits of 10**e, cut off and plus one, for e from _LEAST to _MOST."""
    words = []
    for e in range(_LEAST, _MOST + 1):
        power = 10 ** abs(e)
        bits = power.bit_length()
        words.append(((power << 64 >> bits) if e >= 0 else (1 << 63 + bits) // power) + 1)
    return tuple(words)


def table():
    """The frame around the code that calls `emit`."""
    return intrin.table(_TABLE, _powers_of_ten())


def emit(bits: Word):
    """(digits, exponent), locals of uint64 and int64: the decimal of the finite float32 > 0 with these bits. Digits do not end with 0."""
    field, fraction = T.bind((bits >> _MANTISSA).signed), bits & (2**_MANTISSA - 1)
    is_normal = T.bind(field > T.int64(0))
    significand = Word.let(T.Select(is_normal, (fraction | 2**_MANTISSA).expr, fraction.expr))
    power = T.bind(T.max(field, T.int64(1)) - T.int64(_BIAS))
    # below a power of two the floats lie twice as close as above
    closer = T.bind(T.cast(T.And(fraction.equals(0), field > T.int64(1)), "int64"))
    ten = T.bind(T.shift_right(power * T.int64(1_262_611) - closer * T.int64(524_031), T.int64(22)))  # floor(log10(width))
    shift = Word.of(power + T.shift_right(-ten * T.int64(1_741_647), T.int64(19)) + T.int64(1))
    scale = intrin.table_at(_TABLE, T.int64(-_LEAST) - ten)
    four = significand << 2
    low = _scaled(scale, (four - 2 + Word.of(closer)) << shift)
    middle = _scaled(scale, four << shift)
    high = _scaled(scale, (four + 2) << shift)
    odd = significand & 1  # the ends of the interval round to the even one
    return _chosen(low + odd, middle, high - odd, ten)


def _scaled(scale: Word, number: Word) -> Word:
    """The upper word of the product; its last bit is set when a part was cut off."""
    rest = number * scale >> 32
    return number.mulhi(scale) | Word.of(T.cast(Word(1).less(rest), "uint64"))


def _chosen(low: Word, middle: Word, high: Word, ten):
    """The decimal inside [low, high], which are four times a decimal."""
    whole = middle >> 2
    tens = Word.let(T.truncdiv(whole.expr, intrin.const(10, "uint64")))
    below, above = _inside(low, high, tens * 40, 40)
    one_below, one_above = _inside(low, high, whole << 2, 4)
    half = (whole << 2) + 2
    nearer = T.Or(half.less(middle), T.And(half.equals(middle), (whole & 1).equals(1)))
    up = T.bind(T.Select(_one_of(one_below, one_above), one_above, nearer))
    shorter = T.bind(T.And(_one_of(below, above), T.Not(whole.less(10))))
    digits = intrin.local("uint64", T.Select(shorter, (tens + _one(above)).expr, (whole + _one(up)).expr))
    exponent = intrin.local("int64", ten + T.cast(shorter, "int64"))
    rest = intrin.local("uint64", 0)
    with T.While(rest[0] == intrin.const(0, "uint64")):
        number = Word.let(digits[0])
        quotient = Word.let(T.truncdiv(number.expr, intrin.const(10, "uint64")))
        intrin.assign(rest, (number - quotient * 10).expr)
        with T.If(Word.let(rest[0]).equals(0)), T.Then():
            intrin.assign(digits, quotient.expr)
            intrin.assign(exponent, exponent[0] + T.int64(1))
    return digits, exponent


def _inside(low: Word, high: Word, number: Word, step: int):
    """(condition: `number` is not below the interval, condition: `number + step` is not above it)."""
    return T.Not(number.less(low)), T.Not(high.less(number + step))


def _one_of(one, other):
    """Condition: exactly one of two conditions holds."""
    return T.bind(T.cast(one, "int32") + T.cast(other, "int32") == T.int32(1))


def _one(condition) -> Word:
    return Word.of(T.cast(condition, "uint64"))
