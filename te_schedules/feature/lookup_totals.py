"""lookup_feature where every row has a map of its own: a block of rows at once, with the keys of maps and rows as pairs of words.

The keys of all rows are made words first (`te_schedules/word_pairs.py`), so that what is left of a row is to compare words and to add
numbers, in which a key that is not there makes no branch. It is for maps of numbers without nulls and short keys; other blocks are left to
`map_rows.py`.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Field, Form, Word
from te_schedules.feature import combine
from te_schedules.procedure import Procedure
from te_schedules.word_pairs import MOST, PLACES, TwoNumbers, last_pair, pair_at, rows_at

Expr = Any


def _emit_totals(words0, words1, lows0, highs0, lows1, highs1, first, end, code, one, two, fits) -> None:
    map_field, keys = rows_at(words0), rows_at(words1)
    map_field[Word.WEIGHT], map_field[Word.WEIGHT_FORM]
    all_fit = intrin.local("int64", 1)
    with T.serial(first, end) as row:
        begin, behind = map_field.elements(row)
        key, last = keys.elements(row)
        count = intrin.let(T.min(behind - begin, T.int64(MOST)))
        intrin.assign(all_fit, T.bitwise_and(all_fit[0], T.cast(behind - begin <= T.int64(MOST), "int64")))
        total, previous, found = intrin.local("float64", 0.0), intrin.local("float64", 0.0), intrin.local("int64", 0)
        known = [intrin.let(words + begin * T.int64(8)) for words in (lows0, highs0)]
        with T.If(count > T.int64(0)), T.Then(), T.serial(key, last) as k:
            asked = pair_at((lows1, highs1), k)
            place = last_pair(known, count, asked)
            is_hit = intrin.let(T.And(place > T.int64(0), asked[1] != T.int64(0)))  # an empty text is no key
            # the entry of the hit, or the first: a maximum would be a branch, which is mispredicted often
            entry = begin + place - T.shift_right(place + T.int64(63), T.int64(6))
            value = intrin.let(T.cast(map_field.item_number(entry, "float32"), "float64"))
            _add(code, (total, previous, found), is_hit, value)
        at = intrin.let((row - first) * T.int64(8))
        intrin.store("float64", one + at, total[0])
        intrin.store("int64", two + at, found[0])
    intrin.store("int64", fits, all_fit[0])


def _add(combiner, state, is_hit, value) -> None:
    """A sum starts with 0.0 and so is never -0.0: adding 0.0 leaves it as it is."""
    total, previous, found = state
    with T.If(combine.is_one_of(combiner, "sum", "mean")):
        with T.Then():
            intrin.assign(total, total[0] + T.Select(is_hit, value, T.float64(0)))
        with T.Else(), T.If(is_hit), T.Then():
            intrin.assign(total, combine.add(combiner, total[0], previous[0], found[0], value))
            intrin.assign(previous, value)
    intrin.assign(found, found[0] + T.cast(is_hit, "int64"))


TOTALS = Procedure("rank_lookup_totals", dict.fromkeys(PLACES, "int64"), _emit_totals)
"""For each row, the total (float64) of what its keys find in its map, and how many do (int64). Field 0: the map, none of which may have more
than MOST entries · 1: the keys · code: the combiner."""


def totals(scope, map_field: Field, keys: Field, first_row: Expr, end_row: Expr) -> TwoNumbers:
    """The totals and hits of a block of rows."""
    numbers = T.And(map_field.is_map, map_field[Word.WEIGHT_FORM] != T.int64(int(Form.TEXT)))
    wanted = intrin.let(T.And(numbers, map_field[Word.WEIGHT_VALID] == T.int64(0)))
    code = scope.int("combiner")
    return TwoNumbers(scope, TOTALS, (map_field, keys), (first_row, end_row), code=code, wanted=wanted, full=False)
