"""match_feature where every row has a nested map of its own: the value of a row's category and item is found while the text is read, and
nothing of the other pairs is kept.

It is for texts of the usual form (`te_schedules/text/nested_text.py`), and for one short category and item in a row
(`te_schedules/word_pairs.py`); other rows are left to `nested_rows.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Word
from te_schedules.procedure import Procedure
from te_schedules.text import nested_text
from te_schedules.word_pairs import PLACES, TwoNumbers, pair_at, rows_at

Expr = Any
NOTHING, UNKNOWN = -1, -2  # in place of the length of a value: there is none; the row must be read in another way
_CATEGORY, _ITEM, _VALUE = range(3)  # what comes next
_READ = 16  # bytes of a part that are read


@dataclass(frozen=True)
class _Wanted:
    """A short text: its words without the length, what of eight bytes counts in each, and the length, 0 if there is no text."""

    words: tuple[Expr, ...]
    masks: tuple[Expr, ...]
    length: Expr

    @staticmethod
    def of(pair: tuple[Expr, ...]) -> _Wanted:
        """The text of a pair of words."""
        low, high = pair
        length = intrin.let(T.bitwise_and(T.shift_right(high, T.int64(56)), T.int64(15)))
        bits = [T.max(T.min(length - T.int64(first), T.int64(8)), T.int64(0)) * T.int64(8) for first in (0, 8)]
        masks = tuple(intrin.let(T.call_extern("int64", "rank_lowest_bits", intrin.let(count))) for count in bits)
        return _Wanted((low, intrin.let(T.bitwise_and(high, masks[1]))), masks, length)

    def is_at(self, begin: Expr, length: Expr) -> Expr:
        """1 where the text of this length at an address is this one, else 0 (int64)."""
        differs = T.bitwise_xor(length, self.length)
        for k, (word, mask) in enumerate(zip(self.words, self.masks, strict=True)):
            read = T.bitwise_and(intrin.load("int64", begin + T.int64(8 * k)), mask)
            differs = T.bitwise_or(differs, T.bitwise_xor(read, word))
        return intrin.let(T.cast(intrin.let(differs) == T.int64(0), "int64"))


# a word whose lowest n bits, 64 at most, are 1
_LOWEST_BITS = """
define linkonce_odr i64 @rank_lowest_bits(i64 %n) alwaysinline {
  %safe = and i64 %n, 63 %above = shl i64 -1, %safe %below = xor i64 %above, -1 %all = icmp sge i64 %n, 64
  %r = select i1 %all, i64 -1, i64 %below ret i64 %r
}
"""


class _Walk:
    """What was read of a text, all int64."""

    def __init__(self, begin: Expr, category: _Wanted, item: _Wanted):
        self._category, self._item = category, item
        self.begin, self.next = intrin.local("int64", begin), intrin.local("int64", _CATEGORY)
        self.usual, self.inside, self.is_hit = intrin.local("int64", 1), intrin.local("int64", 0), intrin.local("int64", 0)
        self.value, self.length = intrin.local("int64", 0), intrin.local("int64", NOTHING)

    def _expect(self, condition: Expr) -> None:
        intrin.assign(self.usual, T.bitwise_and(self.usual[0], T.cast(condition, "int64")))

    def delimiter(self, place: Expr, byte: Expr) -> None:
        """Emit the end of a part before `byte` (int32) at the address `place`."""
        begin = intrin.let(self.begin[0])
        length = intrin.let(place - begin)
        self._expect(length > T.int64(0))
        with T.If(self.next[0] == T.int64(_VALUE)):
            with T.Then():
                is_hit = intrin.let(self.is_hit[0] == T.int64(1))
                intrin.assign(self.value, T.Select(is_hit, begin, self.value[0]))
                intrin.assign(self.length, T.Select(is_hit, length, self.length[0]))
                goes_on = intrin.let(T.cast(byte == T.int32(ord(",")), "int64"))
                self._expect(T.bitwise_or(goes_on, T.cast(byte == T.int32(ord("|")), "int64")) == T.int64(1))
                intrin.assign(self.next, goes_on)  # _ITEM or _CATEGORY
            with T.Else(), T.If(self.next[0] == T.int64(_ITEM)):
                with T.Then():
                    self._expect(byte == T.int32(ord(":")))
                    intrin.assign(self.is_hit, T.bitwise_and(self.inside[0], self._item.is_at(begin, length)))
                    intrin.assign(self.next, _VALUE)
                with T.Else():
                    self._expect(byte == T.int32(ord("^")))
                    intrin.assign(self.inside, self._category.is_at(begin, length))
                    intrin.assign(self.next, _ITEM)
        intrin.assign(self.begin, place + T.int64(1))

    def block(self, at: Expr, end: Expr) -> None:
        """Emit the delimiters of nested_text.BLOCK bytes; the end of the text is one more."""
        size, marks = T.int64(nested_text.BLOCK), nested_text.marks(at)
        inside = intrin.let(T.min(end - at, size))
        kept = intrin.let(T.shift_left(T.int64(1), inside) - T.int64(1))
        self._expect(T.bitwise_and(T.shift_right(marks, size), kept) == T.int64(0))  # no blanks
        last = T.Select(inside < size, T.shift_left(T.int64(1), inside), T.int64(0))
        bits = intrin.local("int64", T.bitwise_or(T.bitwise_and(marks, kept), last))
        with T.While(bits[0] != T.int64(0)):
            place = intrin.let(at + nested_text.lowest_bit(bits[0]))
            byte = intrin.let(T.cast(intrin.load("uint8", place), "int32"))
            self.delimiter(place, intrin.let(T.Select(place < end, byte, T.int32(ord("|")))))
            intrin.assign(bits, T.bitwise_and(bits[0], bits[0] - T.int64(1)))


def _emit_values(words0, words1, lows0, highs0, lows1, highs1, first, end, code, one, two, fits) -> None:
    table, sides = rows_at(code), (rows_at(words0), rows_at(words1))
    with T.attr(0, "pragma_import_llvm", _LOWEST_BITS), nested_text.functions(), T.serial(first, end) as row:
        wanted = []
        for side, places in zip(sides, ((lows0, highs0), (lows1, highs1)), strict=True):
            low, high = pair_at(places, row)
            is_there = side.row_is_valid(row)
            wanted.append(_Wanted.of((low, intrin.let(T.if_then_else(is_there, high, T.int64(0))))))
        begin, stop = table.text(row)
        value, length = intrin.local("int64", 0), intrin.local("int64", NOTHING)
        asked = T.And(wanted[0].length > T.int64(0), wanted[1].length > T.int64(0))
        with T.If(T.And(T.And(asked, begin < stop), table.row_is_valid(row))), T.Then():
            walk, at = _Walk(begin, *wanted), intrin.local("int64", begin)
            with T.If(stop + T.int64(nested_text.BLOCK) <= table.text_limit):
                with T.Then(), T.While(at[0] <= stop):
                    walk.block(intrin.let(at[0]), stop)
                    intrin.assign(at, at[0] + T.int64(nested_text.BLOCK))
                with T.Else():
                    intrin.assign(walk.usual, 0)
            intrin.assign(value, walk.value[0])
            intrin.assign(length, T.Select(walk.usual[0] == T.int64(1), walk.length[0], T.int64(UNKNOWN)))
        at = intrin.let((row - first) * T.int64(8))
        intrin.store("int64", one + at, value[0])
        intrin.store("int64", two + at, length[0])
    intrin.store("int64", fits, T.int64(1))


VALUES = Procedure("rank_match_values", dict.fromkeys(PLACES, "int64"), _emit_values)
"""For each row, the address of a value and its length, NOTHING or UNKNOWN. Field 0: the categories · 1: the items · code: the address of the
descriptor of the maps."""


def values(scope, first_row: Expr, end_row: Expr) -> TwoNumbers:
    """The values of a block of rows, of the fields of the maps, the categories and the items."""
    table, *sides = scope.fields
    own = T.And(T.And(table.is_text, T.Not(table.is_map)), T.And(table.is_scalar, T.Not(table.is_mapped)))
    wanted = T.And(own, T.And(table[Word.STRIDE] == T.int64(1), T.And(*(field.is_scalar for field in sides))))
    return TwoNumbers(scope, VALUES, sides, (first_row, end_row), code=table, wanted=intrin.let(wanted), full=False)
