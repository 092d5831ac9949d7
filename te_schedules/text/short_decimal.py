"""Decimals of at most eight digits, point included, to float64, without a branch for each byte.

    "-12.5"    bytes 1 2 . 5   ->   digits 1 2 5 in one word   ->   125 / 10**1

Both 125 and 10**1 are doubles, so the one division rounds as it should (W. D. Clinger, "How to read floating point numbers
accurately", 1990). What has another form is left to `parse_float.py`.
"""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word
from te_schedules.text import digits, short

LONGEST = 8  # bytes behind the sign
_POINTS, _ONES, _HIGH_BITS = (int.from_bytes(bytes([byte] * 8), "little") for byte in (ord("."), 0x01, 0x80))
_ABOVE_NINE = int.from_bytes(bytes([0x80 - 10] * 8), "little")  # what makes the high bit of 10, and not of 9
_TABLE = "power_of_ten"
_POWERS = [10**k for k in range(LONGEST)]


def emit(found, bits, address, length) -> None:
    """If the `length` bytes at `address` are such a decimal, set `found` (a local bool) and `bits` (a local uint64) to true and its
    float64; else leave them. Reads only these bytes."""
    with T.If(length > T.int64(0)), T.Then(), intrin.table(_TABLE, _POWERS):
        sign = T.bind(T.cast(intrin.load("uint8", address), "int32"))
        negative = T.bind(T.cast(sign == T.int32(ord("-")), "int64"))
        signed = T.bind(T.bitwise_or(negative, T.cast(sign == T.int32(ord("+")), "int64")))
        size = T.bind(length - signed)
        with T.If(T.And(size > T.int64(0), size <= T.int64(LONGEST))), T.Then():
            _emit_unsigned(found, bits, T.bind(address + signed), size, negative)


def _emit_unsigned(found, bits, address, size, negative) -> None:
    word = short.load(address, size)
    other = word ^ _POINTS
    points = (other - _ONES) & ~other & _HIGH_BITS  # above the first point bits may be wrong, but then another one is no digit
    has_point = T.bind(T.cast(points.signed != T.int64(0), "int64"))
    place = T.bind(T.int64(63) - (points & (Word(0) - points)).clz().signed)  # of the point's high bit, -1 for none
    below = T.bind(T.bitwise_and(place, T.int64(-8)))  # bits in front of the point; garbage without one
    front = (Word(1) << T.bitwise_and(below, T.int64(63))) - 1
    without = (word & front) | ((word >> 8) & ~front)
    taken = Word.let(T.Select(has_point == T.int64(1), without.expr, word.expr))
    count = T.bind(size - has_point)
    # the last digit goes to the highest byte; what was behind it goes out, and zeros come in front of the first
    shift = T.bitwise_and(T.int64(64) - T.shift_left(count, T.int64(3)), T.int64(63))
    values = (taken ^ digits.ZEROS) << shift
    wrong = (values | (values + _ABOVE_NINE)) & _HIGH_BITS
    with T.If(T.And(wrong.signed == T.int64(0), count > T.int64(0))), T.Then():
        behind = T.Select(has_point == T.int64(1), size - T.int64(1) - T.shift_right(below, T.int64(3)), T.int64(0))
        power = T.cast(intrin.table_at(_TABLE, behind).signed, "float64")
        number = T.cast(digits.number_of(values).signed, "float64")
        value = Word.let(T.reinterpret("uint64", number / power))
        intrin.assign(bits, (value | (Word.of(negative) << 63)).expr)
        intrin.assign(found, T.bool(True))
