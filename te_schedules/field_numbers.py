"""The numbers of a field in float64, copied to memory: procedures that features of computed numbers call.

Numeric columns give their numbers as they are, a null element of a list 0; texts give the numbers of their tokens, 0 for a token
that is no number (`tvm_rank.ops.typed_numbers.numbers_of`). `words` is the address of the field's descriptor.

    COUNT   how many numbers a row has
    TAKE    some of the numbers of one row, in order
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import dense_numbers, intrin
from te_schedules.column import ElementField, Field, Word
from te_schedules.procedure import Procedure
from te_schedules.text import parse_float, search
from te_schedules.tokens import for_each_token

Expr = Any
ENDS = int(Word.BYTES) + 1  # behind the words of a descriptor that are read here: the address of the ends of texts
WORD_COUNT = ENDS + 1
CURSOR_WORDS = 2  # where TAKE goes on in a row of texts: element, address


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


def number_at(out: Expr, k: Expr) -> Expr:
    """The address of number k of an array of float64."""
    return out + k * T.int64(8)


def parsed(address: Expr, end: Expr) -> tuple[Expr, Expr]:
    """(condition: the text in [address, end) is a number, its number or 0)."""
    valid, value = parse_float.emit(address, intrin.let(end - address))
    return valid, intrin.let(T.if_then_else(valid, value, T.float64(0)))


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
        intrin.store("float64", number_at(out, k), intrin.load("float64", out))


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
                intrin.assign(stop, search.find(intrin.let(position[0]), end, field.text_limit, *separators(separator)))
            with T.If(position[0] < stop[0]), T.Then():
                _, value = parsed(intrin.let(position[0]), intrin.let(stop[0]))
                intrin.store("float64", number_at(out, taken[0]), value)
                intrin.assign(taken, taken[0] + T.int64(1))
            intrin.assign(position, stop[0] + T.int64(1))
        more = intrin.let(position[0] < end)
        intrin.assign(place, T.if_then_else(more, position[0], T.int64(0)))
        intrin.assign(element, element[0] + T.if_then_else(more, T.int64(0), T.int64(1)))
    intrin.store("int64", cursor, element[0])
    intrin.store("int64", cursor + T.int64(8), place[0])


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

PROCEDURES = (COUNT, TAKE, *dense_numbers.conversions("float64", [dense_numbers.PLAIN]))
