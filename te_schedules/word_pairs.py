"""The texts of a block of rows as two words each, made before the rows are looked at: one loop over all texts, in which nothing depends on
the rows, and then comparisons of words alone.

    text "ab"         low = "ab" and zeros · high = zeros and, in its last byte, the length 2
    text of 9 bytes   low = the first eight · high = the ninth, zeros, and 9

Both words together are the text and its length, so equal words are equal texts. That holds for up to LONGEST bytes; where a block has a
longer text, or rows that do not lie side by side, or very many texts, there are no words, and what asks for them does without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Field, Word
from te_schedules.field_numbers import WORD_COUNT, copy_words
from te_schedules.procedure import Procedure
from te_schedules.scratch import Scratch
from te_schedules.text import short
from te_schedules.text.digest import FIRST_BYTES

Expr = Any
LONGEST = 15  # bytes of a text
MOST = 32  # texts that a row is compared with one by one, and of a row on average
GROUP = 8  # words that are compared at once
_READ = 16  # bytes of two words
_FLAGS = 16  # bytes: int64 whether a text was too long, and whether one was empty

# the bytes of a text behind its first eight, of which more may have been read, and its length
_HIGH = (
    FIRST_BYTES
    + """
define linkonce_odr i64 @rank_high_word(i64 %word, i64 %n) alwaysinline {
  %rest = call i64 @llvm.usub.sat.i64(i64 %n, i64 8) %bytes = call i64 @rank_first_bytes(i64 %word, i64 %rest)
  %length = shl i64 %n, 56 %r = or i64 %bytes, %length ret i64 %r
}
"""
)

# 1 + the place of the last of the first `n`, eight at most, of pairs of words that are the wanted ones, 0 if none is
_LAST_PAIR = f"""
declare i64 @llvm.ctlz.i64(i64, i1)
define linkonce_odr i64 @rank_last_pair(i64 %lows, i64 %highs, i64 %n, i64 %low, i64 %high) alwaysinline {{
  %p = inttoptr i64 %lows to ptr %a = load <{GROUP} x i64>, ptr %p, align 8
  %q = inttoptr i64 %highs to ptr %b = load <{GROUP} x i64>, ptr %q, align 8
  %x1 = insertelement <{GROUP} x i64> poison, i64 %low, i64 0
  %x = shufflevector <{GROUP} x i64> %x1, <{GROUP} x i64> poison, <{GROUP} x i32> zeroinitializer
  %y1 = insertelement <{GROUP} x i64> poison, i64 %high, i64 0
  %y = shufflevector <{GROUP} x i64> %y1, <{GROUP} x i64> poison, <{GROUP} x i32> zeroinitializer
  %is.x = icmp eq <{GROUP} x i64> %a, %x %is.y = icmp eq <{GROUP} x i64> %b, %y %is = and <{GROUP} x i1> %is.x, %is.y
  %bits = bitcast <{GROUP} x i1> %is to i{GROUP} %wide = zext i{GROUP} %bits to i64
  %above = shl i64 -1, %n %below = xor i64 %above, -1 %found = and i64 %wide, %below
  %zeros = call i64 @llvm.ctlz.i64(i64 %found, i1 false) %r = sub i64 64, %zeros ret i64 %r
}}
"""


def last_pair(places: Sequence[Expr], count: Expr, wanted: Sequence[Expr]) -> Expr:
    """1 + the place of the last of `count` pairs of words (at most MOST; `places` are the addresses of the first of each) that is the wanted
    one, 0 if there is none. Reads up to GROUP - 1 words behind them."""
    found, at = intrin.local("int64", 0), intrin.local("int64", 0)
    with T.attr(0, "pragma_import_llvm", _LAST_PAIR), T.While(at[0] < count):
        behind = intrin.let(at[0] * T.int64(8))
        place = intrin.let(T.call_extern("int64", "rank_last_pair", *(p + behind for p in places), count - at[0], *wanted))
        intrin.assign(found, T.Select(place > T.int64(0), at[0] + place, found[0]))
        intrin.assign(at, at[0] + T.int64(GROUP))
    return intrin.let(found[0])


def _emit_words(begins, ends, data, limit, count, lows, highs, flags) -> None:
    is_long, is_empty = intrin.local("int64", 0), intrin.local("int64", 0)
    with T.attr(0, "pragma_import_llvm", _HIGH), T.serial(count) as k:
        begin = intrin.let(data + T.cast(intrin.load("int32", begins + k * T.int64(4)), "int64"))
        length = intrin.let(data + T.cast(intrin.load("int32", ends + k * T.int64(4)), "int64") - begin)
        intrin.assign(is_long, T.bitwise_or(is_long[0], T.cast(length > T.int64(LONGEST), "int64")))
        intrin.assign(is_empty, T.bitwise_or(is_empty[0], T.cast(length == T.int64(0), "int64")))
        low, high = intrin.local("int64", 0), intrin.local("int64", 0)
        with T.If(begin + T.int64(_READ) <= limit):
            with T.Then():
                intrin.assign(low, intrin.load("int64", begin))
                intrin.assign(high, intrin.load("int64", begin + T.int64(8)))
            with T.Else(), T.If(T.And(length > T.int64(0), length <= T.int64(LONGEST))), T.Then():
                intrin.assign(low, short.load(begin, intrin.let(T.min(length, T.int64(8)))).signed)
                with T.If(length > T.int64(8)), T.Then():
                    intrin.assign(high, short.load(begin + T.int64(8), length - T.int64(8)).signed)
        intrin.store("int64", lows + k * T.int64(8), T.call_extern("int64", "rank_first_bytes", low[0], length))
        intrin.store("int64", highs + k * T.int64(8), T.call_extern("int64", "rank_high_word", high[0], length))
    intrin.store("int64", flags, is_long[0])
    intrin.store("int64", flags + T.int64(8), is_empty[0])


WORD_PAIRS = Procedure(
    "rank_word_pairs", dict.fromkeys(("begins", "ends", "data", "limit", "count", "lows", "highs", "flags"), "int64"), _emit_words
)
"""Write both words of `count` texts, and two flags: whether one is longer than LONGEST, and then the words are void; whether one is empty."""


class WordPairs:
    """The words of the texts of a block of rows. `are_there`: condition, the field's texts have them · `none_empty`: condition, none of
    these texts is empty · `lows`, `highs`: addresses of the words of element 0, of which only those of the block's elements exist.
    wanted: a condition, without which there are none."""

    def __init__(self, scope, field: Field, first_row, end_row, *, wanted: Expr):
        self._memory = Scratch(scope)
        names = ("are_there", "none_empty", "lows", "highs")
        there, full, lows, highs = (intrin.local("int64", 0) for _ in names)
        direct = T.And(T.Not(field.is_mapped), T.And(field[Word.STRIDE] == T.int64(1), field[Word.ELEMENT_VALID] == T.int64(0)))
        with T.If(T.And(T.And(wanted, T.And(field.is_text, direct)), T.And(T.Not(field.splits), first_row < end_row))), T.Then():
            first, end = span(field, first_row, end_row)
            count = intrin.let(end - first)
            with T.If(count <= (end_row - first_row) * T.int64(MOST)), T.Then():
                size = intrin.let((count + T.int64(GROUP)) * T.int64(8))
                self._memory.ensure(intrin.let(size * T.int64(2) + T.int64(_FLAGS)))
                flags = intrin.let(self._memory.address)
                begin = intrin.let(flags + T.int64(_FLAGS))
                places = (field[Word.TEXT] + first * T.int64(4), field.ends + first * T.int64(4))
                WORD_PAIRS.call(*places, field[Word.DATA], field.text_limit, count, begin, begin + size, flags)
                intrin.assign(there, T.cast(intrin.load("int64", flags) == T.int64(0), "int64"))
                intrin.assign(full, T.cast(intrin.load("int64", flags + T.int64(8)) == T.int64(0), "int64"))
                intrin.assign(lows, begin - first * T.int64(8))
                intrin.assign(highs, begin + size - first * T.int64(8))
        self.are_there, self.none_empty = (intrin.let(flag[0] == T.int64(1)) for flag in (there, full))
        self.lows, self.highs = (intrin.let(place[0]) for place in (lows, highs))


def span(field: Field, first_row: Expr, end_row: Expr) -> tuple[Expr, ...]:
    """(first, end) of the elements of all rows of a block of a field that is not mapped."""
    offsets = field[Word.LIST]

    def begin(row: Expr) -> Expr:
        listed = T.cast(intrin.load("int32", offsets + row * T.int64(4)), "int64")
        return intrin.let(T.if_then_else(offsets == T.int64(0), row, listed))

    return begin(first_row), begin(end_row)


class _Rows(Field):
    """A field whose kernel rows are its rows."""

    def column_row(self, row):
        """The row itself."""
        return row


def rows_at(words: Expr) -> Field:
    """The field whose descriptor was copied to an address, and whose kernel rows are its rows."""
    return _Rows(lambda word: intrin.load("int64", words + T.int64(8 * int(word))))


def pair_at(places: Sequence[Expr], k: Expr) -> tuple[Expr, ...]:
    """Pair number k of words, of which the first lie at these addresses."""
    return tuple(intrin.let(intrin.load("int64", place + k * T.int64(8))) for place in places)


PLACES = ("words0", "words1", "lows0", "highs0", "lows1", "highs1", "first", "end", "code", "one", "two", "fits")
"""The arguments (int64) of a procedure for `TwoNumbers`: of both fields the address of the descriptor and of the words of element 0, the
rows, a number of the column or the address of one more descriptor, the addresses of both results of the first row, and that of a flag: 1,
or 0 when they are void."""


class TwoNumbers:
    """Two numbers of 64 bits for each row of a block, which a procedure makes of the words of two fields. `are_there`: condition, the block
    has them. `code`: a number of the column, or a field, whose descriptor is handed over too · `wanted`: a condition, without which it has
    none · `full`: it has none where a text is empty."""

    def __init__(self, scope, procedure: Procedure, fields: Sequence[Field], rows, *, code: Expr | Field, wanted: Expr, full: bool):
        there, (self._first, end) = intrin.local("int64", 0), rows
        self._memory, self._column = Scratch(scope), intrin.let((end - self._first) * T.int64(8))
        pairs: list[WordPairs] = []
        for field in fields:
            pairs.append(WordPairs(scope, field, *rows, wanted=wanted))
            wanted = T.And(pairs[-1].are_there, pairs[-1].none_empty) if full else pairs[-1].are_there
        with T.If(wanted), T.Then():
            described = [*fields, code] if isinstance(code, Field) else fields
            words, copies = T.int64(8 * WORD_COUNT), []
            self._memory.ensure(intrin.let(self._column * T.int64(2) + words * T.int64(len(described)) + T.int64(8)))
            place = intrin.let(self._memory.address + self._column * T.int64(2))
            for field in described:
                copy_words(field, place)
                copies.append(place)
                place = intrin.let(place + words)
            outputs = (self._memory.address, self._memory.address + self._column, place)
            made = [of_one for pair in pairs for of_one in (pair.lows, pair.highs)]
            procedure.call(*copies[:2], *made, *rows, copies[2] if isinstance(code, Field) else code, *outputs)
            intrin.assign(there, intrin.load("int64", place))
        self.are_there = intrin.let(there[0] == T.int64(1))

    def of(self, row: Expr, one: str, two: str) -> tuple[Expr, Expr]:
        """Both numbers, of these dtypes, of a row, where they are there."""
        at = intrin.let(self._memory.address + (row - self._first) * T.int64(8))
        return intrin.let(intrin.load(one, at)), intrin.let(intrin.load(two, at + self._column))
