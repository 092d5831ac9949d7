"""Decimal text to int64: an optional sign, then one or more ASCII digits, and nothing else.

Eight digits at a time; the first group has the odd digits and is filled up with zeros in front:

    "-1234567890" -> sign · "00000012" · "34567890"
"""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word
from te_schedules.text import digits, short

_GROUP = 10**digits.COUNT
_MAX_BEFORE_GROUP = 2**63 // _GROUP  # a greater number does not fit in int64 once a further group follows


def emit(address, length):
    """(valid, value, in_range) of the `length` bytes at `address` (both int64). Reads only these bytes.

    valid: condition, the text is an integer · value: int64, 0 unless in_range · in_range: condition, valid and it fits in int64.
    Leading zeros are allowed: "007" is 7, "-0" is 0.
    """
    sign = T.bind(T.if_then_else(length > T.int64(0), T.cast(intrin.load("uint8", address), "int32"), T.int32(0)))
    negative = T.bind(sign == T.int32(ord("-")))
    signed = T.Or(negative, sign == T.int32(ord("+")))
    start = T.bind(address + T.cast(signed, "int64"))
    count = T.bind(address + length - start)
    valid, fits = intrin.local("bool", T.bool(False)), intrin.local("bool", T.bool(True))
    magnitude = intrin.local("uint64", 0)
    with T.If(count > T.int64(0)), T.Then():
        first = _first_group(start, count)
        intrin.assign(valid, digits.are_digits(first))
        intrin.assign(magnitude, digits.value_of(first).expr)
        at = intrin.local("int64", start + T.bitwise_and(count, T.int64(7)))
        with T.While(T.And(valid[0], at[0] < start + count)):
            _further_group(Word.let(intrin.load("uint64", at[0])), magnitude, valid, fits)
            intrin.assign(at, at[0] + T.int64(digits.COUNT))
    number = Word.let(magnitude[0])
    limit = Word(2**63 - 1) + Word.of(T.cast(negative, "uint64"))
    in_range = T.bind(T.And(T.And(valid[0], fits[0]), T.Not(limit.less(number))))
    result = Word.let(T.Select(negative, (Word(0) - number).expr, number.expr))
    return T.bind(valid[0]), T.bind(T.Select(in_range, result.signed, T.int64(0))), in_range


def _first_group(start, count) -> Word:
    """The first count % 8 bytes, behind as many ASCII zeros as make eight; all zeros when there are none."""
    text = intrin.local("uint64", 0)
    odd = T.bind(T.bitwise_and(count, T.int64(7)))
    with T.If(count >= T.int64(digits.COUNT)):
        with T.Then():
            intrin.assign(text, intrin.load("uint64", start))
        with T.Else():
            intrin.assign(text, short.load(start, count).expr)
    # two shifts, because one of 64 bits is undefined
    shifted = (Word.let(text[0]) << Word.of((T.int64(7) - odd) * T.int64(8))) << 8
    return shifted | (Word(digits.ZEROS) >> Word.of(odd * T.int64(8)))


def _further_group(text: Word, magnitude, valid, fits) -> None:
    number = Word.let(magnitude[0])
    intrin.assign(valid, digits.are_digits(text))
    intrin.assign(fits, T.And(fits[0], T.Not(Word(_MAX_BEFORE_GROUP).less(number))))
    intrin.assign(magnitude, (number * _GROUP + digits.value_of(text)).expr)
