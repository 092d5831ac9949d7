"""kv_dot_product of a block of rows at once: an Arrow map of numbers, and another one or a list of keys, with keys as pairs of words.

It is for maps without null values and for short keys (`te_schedules/word_pairs.py`), lists of which have no delimiter; other blocks are left to
`map_rows.py`.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Field, Form, Word
from te_schedules.procedure import Procedure
from te_schedules.text import search
from te_schedules.word_pairs import MOST, PLACES, TwoNumbers, last_pair, pair_at, rows_at, span

Expr = Any


def _emit_sums(words0, words1, lows0, highs0, lows1, highs1, first, end, code, one, two, fits) -> None:
    del code
    query, document = rows_at(words0), rows_at(words1)
    for field in (query, document):
        field[Word.WEIGHT], field[Word.WEIGHT_FORM]
    all_fit = intrin.local("int64", 1)
    with T.serial(first, end) as row:
        begin, behind = query.elements(row)
        start, stop = document.elements(row)
        few = T.And(behind - begin <= T.int64(MOST), stop - start <= T.int64(MOST))
        intrin.assign(all_fit, T.bitwise_and(all_fit[0], T.cast(few, "int64")))
        known, asked = (intrin.let(T.min(count, T.int64(MOST))) for count in (behind - begin, stop - start))
        total, found = intrin.local("float64", 0.0), intrin.local("int64", 0)
        mine = [intrin.let(words + begin * T.int64(8)) for words in (lows0, highs0)]
        others = [intrin.let(words + start * T.int64(8)) for words in (lows1, highs1)]
        with T.If(known > T.int64(0)), T.Then(), T.serial(asked) as k:
            wanted = pair_at(others, k)
            place = last_pair(mine, known, wanted)
            is_last = last_pair(others, asked, wanted) == k + T.int64(1)
            is_hit = intrin.let(T.And(T.And(place > T.int64(0), wanted[1] != T.int64(0)), is_last))  # an empty text is no key
            # the entry of the hit, or the first: a maximum would be a branch, which is mispredicted often
            weight = _weight(query, begin + place - T.shift_right(place + T.int64(63), T.int64(6)))
            product = intrin.rounded(weight * _weight(document, start + k))
            intrin.assign(total, total[0] + T.Select(is_hit, product, T.float64(0)))  # never -0.0, so that 0.0 leaves it as it is
            intrin.assign(found, found[0] + T.cast(is_hit, "int64"))
        at = intrin.let((row - first) * T.int64(8))
        intrin.store("float64", one + at, total[0])
        intrin.store("int64", two + at, found[0])
    intrin.store("int64", fits, all_fit[0])


def _weight(field: Field, element: Expr) -> Expr:
    """The weight of an element of a map; 1 for that of a list."""
    weight = intrin.local("float64", 1.0)
    with T.If(field.is_map), T.Then():
        intrin.assign(weight, T.cast(field.item_number(element, "float32"), "float64"))
    return intrin.let(weight[0])


SUMS = Procedure("rank_kv_dot_sums", dict.fromkeys(PLACES, "int64"), _emit_sums)
"""For each row, the sum of the products (float64), and how many there are (int64). Field 0: the query, a map · 1: the document. No row may have
more than MOST keys."""


def sums(scope, query: Field, document: Field, first_row: Expr, end_row: Expr) -> TwoNumbers:
    """The sums of a block of rows."""
    wanted = intrin.local("int64", 0)
    complete = [T.And(_has_numbers(field), field[Word.WEIGHT_VALID] == T.int64(0)) for field in (query, document)]
    with T.If(complete[0]), T.Then(), T.If(document.is_map):
        with T.Then():
            intrin.assign(wanted, T.cast(complete[1], "int64"))
        with T.Else(), T.If(T.And(document.is_text, T.Not(document.is_mapped))), T.Then():
            delimiter, found = T.cast(scope.int("delimiter"), "uint8"), intrin.local("int64", 0)
            first, end = (document[Word.DATA] + document.text_offset(element) for element in span(document, first_row, end_row))
            search.emit(found, intrin.let(first), intrin.let(end), delimiter, delimiter)
            intrin.assign(wanted, T.int64(1) - found[0])
    is_wanted = intrin.let(wanted[0] == T.int64(1))
    return TwoNumbers(scope, SUMS, (query, document), (first_row, end_row), code=T.int64(0), wanted=is_wanted, full=False)


def _has_numbers(field: Field) -> Expr:
    """Condition: the field is a map whose values are numbers."""
    return T.And(field.is_map, field[Word.WEIGHT_FORM] != T.int64(int(Form.TEXT)))
