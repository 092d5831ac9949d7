"""Decimal text to the nearest float64, ties to even, whatever the length of the text.

    [+-] digits, at least one, with at most one point; then perhaps [eE] [+-] digits
    [+-] inf | infinity | nan, in any case

Short ones are read as one word (`short_decimal.py`). Of the others, up to 19 digits go through one 128-bit product
(`eisel_lemire.py`). Of more digits, the first 19 are tried as they are and plus one:
if both give the same double, that is it; if not, all digits are compared with the middle of the two (`midpoint.py`).

Code size: about 4 KB of machine code at each place it is emitted, most of it for the rare long texts, so emit it once in a loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word
from te_schedules.text import digits, eisel_lemire, midpoint, short_decimal
from te_schedules.text.cursor import Cursor

Expr = Any

_MAX_DIGITS = 19  # any 19 digits fit in uint64
_MAX_EXPONENT = 10**15  # an exponent stops growing here: no text in memory has as many digits to make up for it
_LOWER_CASE = 0x20
_NAN = 0x7FF8 << 48


@dataclass(frozen=True)
class _Digits:
    """What the first walk found: the digits lie in [first, end), `count` of them, and write `number` modulo 2**64; the last has
    the weight 10**power."""

    first: Expr
    end: Expr
    count: Expr
    number: Word
    power: Expr


def emit(address, length):
    """(valid, value) of the `length` bytes at `address` (both int64). Reads only these bytes.

    valid: condition, the text is a number · value: float64, 0 unless valid; infinity beyond the largest double; -0.0 keeps its sign
    """
    valid, bits = intrin.local("bool", T.bool(False)), intrin.local("uint64", 0)
    short_decimal.emit(valid, bits, address, length)
    with T.If(T.Not(valid[0])), T.Then():
        _emit_any(valid, bits, address, length)
    return T.bind(valid[0]), T.bind(T.reinterpret("float64", bits[0]))


def _emit_any(valid, bits, address, length) -> None:
    """Set both, `bits` only if the text is a number."""
    end = T.bind(address + length)
    cursor = Cursor(address, end)
    negative = cursor.skip_sign()
    first, last, count, number, fraction = _walk(cursor)
    with T.If(count > T.int64(0)):
        with T.Then():
            exponent, complete = _exponent(cursor)
            intrin.assign(valid, T.And(complete, cursor.is_end))
            with T.If(valid[0]), T.Then(), eisel_lemire.table():
                _convert(bits, _Digits(first, last, count, number, T.bind(exponent - fraction)))
        with T.Else():
            _name(valid, bits, first, T.bind(end - first))
    sign = Word.of(T.cast(T.And(negative, valid[0]), "uint64")) << 63
    intrin.assign(bits, (Word.let(bits[0]) | sign).expr)


def _walk(cursor: Cursor):
    """Walk over the digits and the point: (first, end, count, number, digits behind the point)."""
    number, fraction = intrin.local("uint64", 0), intrin.local("int64", 0)
    first = T.bind(cursor.at)
    _absorb_digits(cursor, number)
    whole = T.bind(cursor.at - first)
    with T.If(cursor.byte == T.int32(ord("."))), T.Then():
        cursor.advance()
        behind_point = T.bind(cursor.at)
        _absorb_digits(cursor, number)
        intrin.assign(fraction, cursor.at - behind_point)
    return first, T.bind(cursor.at), T.bind(whole + fraction[0]), Word.let(number[0]), T.bind(fraction[0])


def _absorb_digits(cursor: Cursor, number) -> None:
    """Append all digits from here on to `number`: eight at a time, then one at a time."""
    more = intrin.local("bool", T.bool(True))
    with T.While(more[0]):
        intrin.assign(more, T.bool(False))
        with T.If(cursor.has(digits.COUNT)), T.Then():
            eight = Word.let(intrin.load("uint64", cursor.at))
            with T.If(digits.are_digits(eight)), T.Then():
                intrin.assign(number, (Word.let(number[0]) * 10**digits.COUNT + digits.value_of(eight)).expr)
                cursor.advance(digits.COUNT)
                intrin.assign(more, T.bool(True))
    with T.While(cursor.is_digit):
        intrin.assign(number, (Word.let(number[0]) * 10 + Word.of(cursor.digit)).expr)
        cursor.advance()


def _exponent(cursor: Cursor):
    """Walk over the exponent, if there is one: (its value, condition: it has digits or there is none)."""
    value, complete = intrin.local("int64", 0), intrin.local("bool", T.bool(True))
    with T.If(T.bitwise_or(cursor.byte, T.int32(_LOWER_CASE)) == T.int32(ord("e"))), T.Then():
        cursor.advance()
        negative = cursor.skip_sign()
        intrin.assign(complete, cursor.is_digit)
        with T.While(cursor.is_digit):
            grown = value[0] * T.int64(10) + T.cast(cursor.digit, "int64")
            intrin.assign(value, T.min(grown, T.int64(_MAX_EXPONENT)))
            cursor.advance()
        intrin.assign(value, T.Select(negative, -value[0], value[0]))
    return T.bind(value[0]), T.bind(complete[0])


def _convert(bits, found: _Digits) -> None:
    """Set `bits` to the double nearest to the decimal, without its sign."""
    number, power = intrin.local("uint64", found.number.expr), intrin.local("int64", found.power)
    kept, dropped = intrin.local("int64", 0), intrin.local("int64", 0)
    lead, inexact = intrin.local("int64", found.first), intrin.local("bool", T.bool(False))
    with T.If(found.count > T.int64(_MAX_DIGITS)), T.Then():
        _keep_leading(found, number, lead, kept, dropped, inexact)
        intrin.assign(power, found.power + dropped[0])
    upper = intrin.local("uint64", 0)
    with T.serial(T.if_then_else(inexact[0], T.int64(2), T.int64(1))) as step:  # a loop, so that the product is emitted once
        candidate = eisel_lemire.emit(Word.let(number[0]) + Word.of(step), T.bind(power[0]))
        intrin.assign(bits, T.Select(step == T.int64(0), candidate.expr, bits[0]))
        intrin.assign(upper, candidate.expr)
    lower = Word.let(bits[0])
    with T.If(T.Not(lower.equals(upper[0]))), T.Then():
        decimal = midpoint.Decimal(T.bind(lead[0]), found.end, T.bind(kept[0] + dropped[0]), found.power)
        above = midpoint.emit_is_above(decimal, lower)
        intrin.assign(bits, (lower + Word.of(T.cast(above, "uint64"))).expr)


def _keep_leading(found: _Digits, number, lead, kept, dropped, inexact) -> None:
    """Walk again: `lead` goes to the first digit that is not 0, the 19 digits from there make `number`; the others are counted."""

    def byte():
        return T.cast(intrin.load("uint8", lead[0]), "int32")

    blank = T.Or(byte() == T.int32(ord("0")), byte() == T.int32(ord(".")))
    with T.While(T.if_then_else(lead[0] < found.end, blank, T.bool(False))):
        intrin.assign(lead, lead[0] + T.int64(1))
    intrin.assign(number, 0)
    with T.serial(lead[0], found.end) as at:
        digit = T.bind(T.cast(intrin.load("uint8", at), "int32") - T.int32(ord("0")))
        is_point = digit < T.int32(0)
        with T.If(T.Not(is_point)), T.Then(), T.If(kept[0] < T.int64(_MAX_DIGITS)):
            with T.Then():
                intrin.assign(number, (Word.let(number[0]) * 10 + Word.of(digit)).expr)
                intrin.assign(kept, kept[0] + T.int64(1))
            with T.Else():
                intrin.assign(dropped, dropped[0] + T.int64(1))
                intrin.assign(inexact, T.Or(inexact[0], digit > T.int32(0)))


def _name(valid, bits, address, length) -> None:
    """Read inf, infinity or nan: letters in lower case, compared as one word."""

    def set_if(text: Word, name: bytes, value: int) -> None:
        with T.If(text.equals(int.from_bytes(name, "little"))), T.Then():
            intrin.assign(valid, T.bool(True))
            intrin.assign(bits, intrin.const(value, "uint64"))

    with T.If(length == T.int64(3)), T.Then():
        three = Word(0)
        for k in range(3):
            three = three | (Word.of(intrin.load("uint8", address + T.int64(k))) << 8 * k)
        three = three | 0x202020
        set_if(three, b"inf", eisel_lemire.INFINITY)
        set_if(three, b"nan", _NAN)
    with T.If(length == T.int64(8)), T.Then():
        eight = Word.let(intrin.load("uint64", address)) | 0x2020202020202020
        set_if(eight, b"infinity", eisel_lemire.INFINITY)
