"""The terms that both sides of an overlap_feature have, counted for a block of rows at once, with terms as pairs of words.

It is for lists of short terms that are not empty (`te_schedules/word_pairs.py`); other blocks are left to `overlap_terms.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Field
from te_schedules.procedure import Procedure
from te_schedules.word_pairs import MOST, PLACES, TwoNumbers, last_pair, pair_at, rows_at

Expr = Any


def _emit_counts(words0, words1, lows0, highs0, lows1, highs1, first, end, code, one, two, fits) -> None:
    del code
    side, other = rows_at(words0), rows_at(words1)
    all_fit = intrin.local("int64", 1)
    with T.serial(first, end) as row:
        begin, behind = side.elements(row)
        start, stop = other.elements(row)
        count = intrin.let(T.min(stop - start, T.int64(MOST)))
        intrin.assign(all_fit, T.bitwise_and(all_fit[0], T.cast(stop - start <= T.int64(MOST), "int64")))
        found = intrin.local("int64", 0)
        others = [intrin.let(words + start * T.int64(8)) for words in (lows1, highs1)]
        with T.If(count > T.int64(0)), T.Then(), T.serial(begin, behind) as k:
            place = last_pair(others, count, pair_at((lows0, highs0), k))
            intrin.assign(found, found[0] + T.cast(place > T.int64(0), "int64"))
        at = intrin.let((row - first) * T.int64(8))
        intrin.store("int64", one + at, T.Select(count > T.int64(0), behind - begin, T.int64(0)))
        intrin.store("int64", two + at, found[0])
    intrin.store("int64", fits, all_fit[0])


COUNTS = Procedure("rank_overlap_counts", dict.fromkeys(PLACES, "int64"), _emit_counts)
"""For each row, how many terms a side has (0 where the other has none), and how many of them are among the other's, both int64. Field 0: the
side · 1: the other, of which no row may have more than MOST terms."""


def counts(scope, sides: Sequence[Field], first_row: Expr, end_row: Expr) -> TwoNumbers:
    """The counts of a block of rows; `sides`: the side, and the other."""
    rows = (first_row, end_row)
    return TwoNumbers(scope, COUNTS, sides, rows, code=T.int64(0), wanted=T.bool(True), full=True)
