"""The numbers of a field in float64, copied to memory: procedures that features of computed numbers call.

Numeric columns give their numbers as they are, a null element of a list 0; texts give the numbers of their tokens, 0 for a token
that is no number (`tvm_rank.ops.typed_numbers.numbers_of`). `words` is the address of the field's descriptor.

    FLAT    a block of rows of a column with at most one number a row: numbers and a mark for the missing ones
    COUNT   how many numbers a row has
    TAKE    some of the numbers of one row, in order
"""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import dense_numbers, intrin
from te_schedules.column import ElementField, Field, Word
from te_schedules.procedure import Procedure
from te_schedules.text import decimals, parse_float
from te_schedules.tokens import for_each_token

Expr = Any
ENDS = int(Word.BYTES) + 1  # behind the words of a descriptor that are read here: the address of the ends of texts
WORD_COUNT = ENDS + 1
MOST_ROWS = 64  # of a block for FLAT
CURSOR_WORDS = 2  # where TAKE goes on in a row of texts: element, address

_LETTERS = b"0123456789+-.eEinftyaINFTYA"  # that a number can have


def copy_words(field: Field, address: Expr) -> None:
    """Emit a copy of the words of a field that the procedures read, for their argument `words`."""
    for word in list(Word)[:ENDS]:
        intrin.store("int64", address + T.int64(8 * int(word)), field[word])
    intrin.store("int64", address + T.int64(8 * ENDS), field.ends)


def field_at(words: Expr) -> Field:
    """The field whose words lie at an address; its texts are searched for separators."""
    field = ElementField(lambda word: _word(words, int(word)), _word(words, ENDS))
    field.splits = field.is_scalar
    return field


def _word(words: Expr, k: int) -> Expr:
    return intrin.load("int64", words + T.int64(8 * k))


def separators(separator: Expr) -> tuple[Expr, Expr]:
    """The separator bytes: chr(29), and that of the column."""
    return T.uint8(0x1D), T.cast(separator, "uint8")


def _number_at(out: Expr, k: Expr) -> Expr:
    return out + k * T.int64(8)


def _parsed(address: Expr, end: Expr) -> tuple[Expr, Expr]:
    """(condition: the text is a number, its number or 0)."""
    valid, value = parse_float.emit(address, intrin.let(end - address))
    return valid, intrin.let(T.if_then_else(valid, value, T.float64(0)))


# ---------------------------------------------------------------- FLAT


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
    with T.If(valid != T.int64(0)), T.Then():
        dense_numbers.nulls("float64").call(valid, bit, count, fill, outputs[0], T.int64(1))
        with T.If(T.isnan(fill)), T.Then():
            dense_numbers.MARKS.call(valid, bit, count, outputs[1])


def _store_missing(place: Expr, fill: Expr, outputs) -> None:
    """A missing row: the fill number if there is one, else a mark."""
    out, missing = outputs
    intrin.store("float64", _number_at(out, place), fill)
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
                intrin.store("float64", _number_at(outputs[0], place), field.number(element, "float64"))
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
    marks = intrin.let(intrin.address_of(unread))
    with T.If(T.And(flat[0] == T.int64(1), direct)):
        with T.Then():
            begins, ends = field[Word.TEXT] + first * T.int64(4), field.ends + first * T.int64(4)
            decimals.emit(begins, ends, field[Word.DATA], field[Word.BYTES], count, outputs[0], marks)
            with T.If(field[Word.VALID] != T.int64(0)), T.Then():
                dense_numbers.MARKS.call(field[Word.VALID], field[Word.VALID_BIT] + first, count, marks)
        with T.Else(), T.serial(count) as k:
            intrin.store("uint8", marks + k, T.uint8(1))
    begin = intrin.let(T.if_then_else(flat[0] == T.int64(1), T.int64(0), count))  # now: the loop may clear `flat`
    with T.serial(begin, count) as k, T.If(intrin.load("uint8", marks + k) != T.uint8(0)), T.Then():
        _flat_text(field, (intrin.let(first + k), k), separator, fill, outputs, flat)
    intrin.keep(unread)
    with T.serial(stop, end) as row:
        intrin.store("float64", _number_at(outputs[0], row - first), intrin.load("float64", outputs[0]))
        intrin.store("uint8", outputs[1] + (row - first), intrin.load("uint8", outputs[1]))


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
            valid, value = _parsed(address, stop_at)
            intrin.store("float64", _number_at(outputs[0], row[1]), value)
            with T.If(T.Not(valid)), T.Then():
                _clear_if_separated(flat, address, stop_at, separator)
        with T.Else():
            _store_missing(row[1], fill, outputs)


def _clear_if_separated(flat, address: Expr, end: Expr, separator: Expr) -> None:
    with T.serial(address, end) as at:
        byte = intrin.let(T.cast(intrin.load("uint8", at), "int64"))
        with T.If(T.Or(byte == T.int64(0x1D), byte == separator)), T.Then():
            intrin.assign(flat, 0)


# ---------------------------------------------------------------- COUNT and TAKE


def _emit_count(words, row, separator, result) -> None:
    field = field_at(words)
    count = intrin.local("int64", 0)
    with T.If(field.is_text):
        with T.Then():
            for_each_token(field, row, separators(separator), lambda _t, _e: intrin.assign(count, count[0] + T.int64(1)))
        with T.Else():
            first, last = field.elements(row)
            intrin.assign(count, last - first)
    intrin.store("int64", result, count[0])


def _emit_take(words, row, separator, at, count, lanes, fill, cursor, out) -> None:
    field = field_at(words)
    wanted = intrin.let(T.if_then_else(count > T.int64(1), lanes, T.min(count, T.int64(1))))
    with T.If(wanted > T.int64(0)):
        with T.Then(), T.If(field.is_text):
            with T.Then():
                _take_texts(field, row, separator, (at, wanted), cursor, out)
            with T.Else():
                _take_numbers(field, row, (at, wanted), out)
        with T.Else():
            intrin.store("float64", out, fill)
    with T.serial(T.max(wanted, T.int64(1)), lanes) as k:  # a single number stands for all
        intrin.store("float64", _number_at(out, k), intrin.load("float64", out))


def _take_numbers(field: Field, row, part, out: Expr) -> None:
    at, wanted = part
    first, _ = field.elements(row)
    begin = intrin.let(first + at)
    dense_numbers.call_convert(field, "float64", begin, wanted, out)
    with T.If(field[Word.ELEMENT_VALID] != T.int64(0)), T.Then():
        bit = field[Word.ELEMENT_BIT] + begin
        dense_numbers.nulls("float64").call(field[Word.ELEMENT_VALID], bit, wanted, T.float64(0), out, T.int64(1))


def _take_texts(field: Field, row, separator: Expr, part, cursor: Expr, out: Expr) -> None:
    """The next texts of the row, from where the cursor stands; a row is read from its beginning, so part by part in order."""
    at, wanted = part
    first, last = field.elements(row)
    from_start = intrin.let(at == T.int64(0))
    element = intrin.local("int64", T.if_then_else(from_start, first, intrin.load("int64", cursor)))
    place = intrin.local("int64", T.if_then_else(from_start, T.int64(0), intrin.load("int64", cursor + T.int64(8))))
    taken = intrin.local("int64", 0)
    with T.While(T.And(taken[0] < wanted, element[0] < last)):
        begin, end = field.text(intrin.let(element[0]))
        position = intrin.local("int64", T.if_then_else(place[0] == T.int64(0), begin, place[0]))
        with T.If(T.Not(field.element_is_valid(element[0]))), T.Then():
            intrin.assign(position, end)
        with T.While(T.And(position[0] < end, taken[0] < wanted)):
            stop = intrin.local("int64", end)
            with T.If(field.splits), T.Then():
                _find_separator(position, end, stop, separator)
            with T.If(position[0] < stop[0]), T.Then():
                _, value = _parsed(intrin.let(position[0]), intrin.let(stop[0]))
                intrin.store("float64", _number_at(out, taken[0]), value)
                intrin.assign(taken, taken[0] + T.int64(1))
            intrin.assign(position, stop[0] + T.int64(1))
        more = intrin.let(position[0] < end)
        intrin.assign(place, T.if_then_else(more, position[0], T.int64(0)))
        intrin.assign(element, element[0] + T.if_then_else(more, T.int64(0), T.int64(1)))
    intrin.store("int64", cursor, element[0])
    intrin.store("int64", cursor + T.int64(8), place[0])


def _find_separator(position, end: Expr, stop, separator: Expr) -> None:
    """Set `stop` to the first separator from `position` on, or to the end."""
    intrin.assign(stop, position[0])

    def plain():
        byte = T.cast(intrin.load("uint8", stop[0]), "int64")
        return T.And(byte != T.int64(0x1D), byte != separator)

    with T.While(T.if_then_else(stop[0] < end, plain(), T.bool(False))):
        intrin.assign(stop, stop[0] + T.int64(1))


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
"""Write the numbers of at most MOST_ROWS rows [first, end) to `out`, and 1 to `missing` (bytes, 0 before) where there is none and `fill`
is NaN; `result`: 1, or 0 when a row may have several numbers, and then what was written is void."""

COUNT = Procedure("rank_numbers_count", dict.fromkeys(("words", "row", "separator", "result"), "int64"), _emit_count)
"""Write to `result` how many numbers `row` has."""

TAKE = Procedure(
    "rank_numbers_take",
    {
        "words": "int64",
        "row": "int64",
        "separator": "int64",
        "at": "int64",
        "count": "int64",
        "lanes": "int64",
        "fill": "float64",
        "cursor": "int64",
        "out": "int64",
    },
    _emit_take,
)
"""Write the numbers [at, at + lanes) of `row`, which has `count`, to `out`. One number stands for all, and `fill` where there is none.
Several numbers of a text are taken part by part in order; `cursor` is the address of CURSOR_WORDS int64 to remember the place."""

PROCEDURES = (FLAT, COUNT, TAKE, dense_numbers.MARKS, *dense_numbers.conversions("float64", [dense_numbers.PLAIN]))


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
        with T.serial(T.int64(MOST_ROWS // 8)) as k:
            intrin.store("int64", self.missing + k * T.int64(8), T.int64(0))
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
