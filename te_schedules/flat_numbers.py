"""A block of rows of a field with at most one number a row, in float64: as a whole, with a mark for each row without one.

Numbers that lie side by side are converted many at a time (`dense_numbers.py`), short decimals are read eight at a time
(`text/decimals.py`), and what is left is taken row by row.
"""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import dense_numbers, intrin
from te_schedules.column import Field, Word
from te_schedules.field_numbers import WORD_COUNT, copy_words, field_at, number_at, parsed
from te_schedules.procedure import Procedure
from te_schedules.text import decimals

Expr = Any
MOST_ROWS = 64  # of a block
_LETTERS = b"0123456789+-.eEinftyaINFTYA"  # that a number can have


def _emit_flat(words, first, end, separator, fill, out, missing, result) -> None:
    field = field_at(words)
    flat = intrin.local("int64", T.cast(field.is_scalar, "int64"))
    with T.If(field.is_scalar), T.Then(), T.If(field.is_text):
        with T.Then():
            _flat_texts(field, (first, end), separator, fill, (out, missing), flat)
        with T.Else(), T.If(T.Or(field.is_mapped, field[Word.STRIDE] == T.int64(0))):
            with T.Then():
                _flat_rows(field, (first, end), fill, (out, missing))
            with T.Else():
                _flat_numbers(field, (first, end), fill, (out, missing))
    intrin.store("int64", result, flat[0])


def _flat_numbers(field: Field, rows, fill: Expr, outputs) -> None:
    """Numbers side by side."""
    first, count = rows[0], intrin.let(rows[1] - rows[0])
    dense_numbers.call_convert(field, "float64", first, count, outputs[0])
    valid, bit = field[Word.VALID], field[Word.VALID_BIT] + first
    with T.If(valid != T.int64(0)), T.Then(), T.If(T.isnan(fill)):
        with T.Then():
            dense_numbers.MARKS.call(valid, bit, count, outputs[1])
        with T.Else():
            dense_numbers.nulls("float64").call(valid, bit, count, fill, outputs[0], T.int64(1))


def _store_missing(place: Expr, fill: Expr, outputs) -> None:
    """A missing row: the fill number if there is one, else a mark."""
    out, missing = outputs
    intrin.store("float64", number_at(out, place), fill)
    with T.If(T.isnan(fill)), T.Then():
        intrin.store("uint8", missing + place, T.uint8(1))


def _flat_rows(field: Field, rows, fill: Expr, outputs) -> None:
    """Numbers of rows that are mapped, or all the same."""
    first, end = rows
    with T.serial(first, end) as row:
        element, last = field.elements(row)
        place = intrin.let(row - first)
        with T.If(T.And(element < last, field.element_is_valid(element))):
            with T.Then():
                intrin.store("float64", number_at(outputs[0], place), field.number(element, "float64"))
            with T.Else():
                _store_missing(place, fill, outputs)


def _flat_texts(field: Field, rows, separator: Expr, fill: Expr, outputs, flat) -> None:
    """Texts. A text that is no number may hold several values, and then the block is not flat; so if numbers have the separator."""
    first, end = rows
    for letter in _LETTERS:
        with T.If(separator == T.int64(letter)), T.Then():
            intrin.assign(flat, 0)
    direct = intrin.let(T.And(field[Word.STRIDE] == T.int64(1), T.Not(field.is_mapped)))
    unread = intrin.array(MOST_ROWS, "uint8")
    one = T.And(field[Word.STRIDE] == T.int64(0), T.Not(field.is_mapped))  # one text serves all rows
    stop = intrin.let(T.if_then_else(one, first + T.int64(1), end))
    count = intrin.let(stop - first)
    before = intrin.let(intrin.load("uint8", outputs[1]))
    with T.If(stop < end), T.Then():
        intrin.store("uint8", outputs[1], T.uint8(0))
    marks = intrin.let(intrin.address_of(unread))
    _clear(marks)
    with T.If(T.And(flat[0] == T.int64(1), direct)):
        with T.Then():
            begins, ends = field[Word.TEXT] + first * T.int64(4), field.ends + first * T.int64(4)
            decimals.emit(begins, ends, field[Word.DATA], field[Word.BYTES], count, outputs[0], marks)
            with T.If(field[Word.VALID] != T.int64(0)), T.Then():
                _flat_nulls(field, (first, count), fill, outputs, marks)
        with T.Else(), T.serial(count) as k:
            intrin.store("uint8", marks + k, T.uint8(1))
    begin = intrin.let(T.if_then_else(flat[0] == T.int64(1), T.int64(0), count))  # now: the loop may clear `flat`
    with T.serial((count - begin + T.int64(7)) // T.int64(8)) as eight:
        at = intrin.let(eight * T.int64(8))
        some = intrin.load("int64", marks + at) != T.int64(0)
        until = intrin.let(T.if_then_else(some, T.min(at + T.int64(8), count), at))
        with T.serial(at, until) as k, T.If(intrin.load("uint8", marks + k) != T.uint8(0)), T.Then():
            _flat_text(field, (intrin.let(first + k), k), separator, fill, outputs, flat)
    intrin.keep(unread)
    with T.If(stop < end), T.Then():
        _spread(end - first, before, outputs)


def _spread(count: Expr, before: Expr, outputs) -> None:
    """The number of the first row, and its mark, in all rows. before: the mark that it had from other fields, as the others may have theirs."""
    own = intrin.let(intrin.load("uint8", outputs[1]))
    with T.serial(T.int64(1), count) as k:
        intrin.store("float64", number_at(outputs[0], k), intrin.load("float64", outputs[0]))
    with T.If(own != T.uint8(0)):
        with T.Then(), T.serial(count) as k:
            intrin.store("uint8", outputs[1] + k, T.uint8(1))
        with T.Else():
            intrin.store("uint8", outputs[1], before)


def _flat_nulls(field: Field, rows, fill: Expr, outputs, marks: Expr) -> None:
    """The null rows of a block, all at once, so that none of them is left to be read."""
    first, count = rows
    valid, bit = field[Word.VALID], field[Word.VALID_BIT] + first
    absent = intrin.array(MOST_ROWS, "uint8")
    nulls = intrin.let(intrin.address_of(absent))
    _clear(nulls)
    dense_numbers.MARKS.call(valid, bit, count, nulls)
    with T.serial(T.int64(MOST_ROWS // 8)) as k:
        are_null = intrin.let(intrin.load("int64", nulls + k * T.int64(8)))
        unread = intrin.load("int64", marks + k * T.int64(8))
        intrin.store("int64", marks + k * T.int64(8), T.bitwise_and(unread, T.bitwise_not(are_null)))
        with T.If(T.isnan(fill)), T.Then():
            missing = intrin.load("int64", outputs[1] + k * T.int64(8))
            intrin.store("int64", outputs[1] + k * T.int64(8), T.bitwise_or(missing, are_null))
    intrin.keep(absent)
    with T.If(T.Not(T.isnan(fill))), T.Then():
        dense_numbers.nulls("float64").call(valid, bit, count, fill, outputs[0], T.int64(1))


def _clear(marks: Expr) -> None:
    """Emit MOST_ROWS bytes of 0."""
    with T.serial(T.int64(MOST_ROWS // 8)) as k:
        intrin.store("int64", marks + k * T.int64(8), T.int64(0))


def _flat_text(field: Field, row, separator: Expr, fill: Expr, outputs, flat) -> None:
    """One text of any form, or none."""
    element, last = field.elements(row[0])
    begin, finish = intrin.local("int64", 0), intrin.local("int64", 0)
    with T.If(element < last), T.Then():
        a, b = field.text(element)
        intrin.assign(begin, a)
        intrin.assign(finish, b)
    with T.If(begin[0] < finish[0]):
        with T.Then():
            address, stop_at = intrin.let(begin[0]), intrin.let(finish[0])
            valid, value = parsed(address, stop_at)
            intrin.store("float64", number_at(outputs[0], row[1]), value)
            with T.If(T.Not(valid)), T.Then():
                _clear_if_separated(flat, address, stop_at, separator)
        with T.Else():
            _store_missing(row[1], fill, outputs)


def _clear_if_separated(flat, address: Expr, end: Expr, separator: Expr) -> None:
    with T.serial(address, end) as at:
        byte = intrin.let(T.cast(intrin.load("uint8", at), "int64"))
        with T.If(T.Or(byte == T.int64(0x1D), byte == separator)), T.Then():
            intrin.assign(flat, 0)


FLAT = Procedure(
    "rank_numbers_flat",
    {
        "words": "int64",
        "first": "int64",
        "end": "int64",
        "separator": "int64",
        "fill": "float64",
        "out": "int64",
        "missing": "int64",
        "result": "int64",
    },
    _emit_flat,
)
"""Write the numbers of at most MOST_ROWS rows [first, end) to `out`, and 1 to `missing` (bytes, 0 or of other fields before, which stay)
where there is none and `fill` is NaN; `result`: 1, or 0 when a row may have several numbers, and then what was written is void."""

PROCEDURES = (FLAT, dense_numbers.MARKS, *dense_numbers.conversions("float64", [dense_numbers.PLAIN]))


class Block:
    """The numbers of a block of rows of a field, in local arrays: `numbers` (float64) and `missing` (bytes) are addresses."""

    def __init__(self, field: Field, separator: Expr):
        self._words, self._numbers = intrin.array(WORD_COUNT, "int64"), intrin.array(MOST_ROWS, "float64")
        self._missing, self._flat = intrin.array(MOST_ROWS, "uint8"), intrin.array(1, "int64")
        self._separator = separator
        self.words, self.numbers, self.missing, self._answer = (intrin.let(intrin.address_of(array)) for array in self._arrays)
        copy_words(field, self.words)
        intrin.store("int64", self._answer, T.int64(0))

    @property
    def _arrays(self) -> tuple[Any, ...]:
        return self._words, self._numbers, self._missing, self._flat

    def read(self, first: Expr, end: Expr) -> None:
        """Emit the reading of at most MOST_ROWS rows."""
        _clear(self.missing)
        FLAT.call(
            self.words, first, end, self._separator, tirx.const(math.nan, "float64"), self.numbers, self.missing, self._answer
        )

    @property
    def is_flat(self) -> Expr:
        """Condition: the rows that were read have one number or none."""
        return intrin.let(intrin.load("int64", self._answer)) == T.int64(1)

    def keep(self) -> None:
        """Emit the end of the arrays' lives."""
        for array in self._arrays:
            intrin.keep(array)
