"""Entries in scratch memory that are found by key: one by one while they are few, by an index of them when that pays.

The entries of one row of a map lie side by side; what an entry looks like, and when two keys are the same, is said by the subclasses
(`map_rows.py`, `nested_rows.py`). The first words of few entries also lie in an array, where all are compared with a wanted one at
once; the last of equal keys wins. More than SCAN are searched from the last one, and get an open-addressed index of entry numbers
(linear probing, at most half full) once they are asked for often enough to pay for it: the work is linear in entries and look-ups,
whatever their number.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.scratch import Scratch

Expr = Any
SCAN = 16  # entries whose words are compared at once
ASKED = 3  # look-ups in a row of more entries, before an index is built
_MIX = 0x9E3779B97F4A7C15  # the odd number next to 2**64 / golden ratio

# 1 + the place of the last of `n` words that is the wanted one, 0 if none is
_LAST_EQUAL = f"""
declare i32 @llvm.ctlz.i32(i32, i1)
define linkonce_odr i64 @rank_last_equal(i64 %words, i64 %n, i64 %wanted) alwaysinline {{
  %p = inttoptr i64 %words to ptr %all = load <{SCAN} x i64>, ptr %p, align 8
  %w1 = insertelement <{SCAN} x i64> poison, i64 %wanted, i64 0
  %w = shufflevector <{SCAN} x i64> %w1, <{SCAN} x i64> poison, <{SCAN} x i32> zeroinitializer
  %is = icmp eq <{SCAN} x i64> %all, %w %bits = bitcast <{SCAN} x i1> %is to i{SCAN} %wide = zext i{SCAN} %bits to i32
  %count = trunc i64 %n to i32 %above = shl i32 -1, %count %below = xor i32 %above, -1 %found = and i32 %wide, %below
  %zeros = call i32 @llvm.ctlz.i32(i32 %found, i1 false) %place = sub i32 32, %zeros %r = zext i32 %place to i64 ret i64 %r
}}
"""


class Entries:
    """The entries of one row, `size` bytes each."""

    def __init__(self, scope, size: int):
        self._size = size
        self._entries, self._index = Scratch(scope), Scratch(scope)
        self._count, self._asked = intrin.local("int64", 0), intrin.local("int64", 0)
        self._slots = intrin.local("int64", 0)  # of the index; 0 while there is none
        words = intrin.array(SCAN, "int64")
        self._words = intrin.let(intrin.address_of(words))
        scope.at_end(lambda: intrin.keep(words))

    @property
    def count(self):
        """How many entries there are, those whose key comes again later included."""
        return self._count[0]

    def entry(self, number):
        """The address of an entry."""
        return self._entries.address + number * T.int64(self._size)

    def key_of(self, place) -> tuple[Expr, ...]:
        """The key of the entry at `place`: an int64 that differs for most keys that differ, then what else `same` wants."""
        raise NotImplementedError

    def same(self, place, key: tuple[Expr, ...]):
        """Condition: the entry at `place` has this key."""
        raise NotImplementedError

    def is_last(self, number):
        """Condition: no later entry has the key of this one."""
        key = self.key_of(intrin.let(self.entry(number)))
        last = intrin.local("int64", number)
        found = self._last_equal(self._count[0], key[0])
        alone = T.And(self._count[0] <= T.int64(SCAN), found == number + T.int64(1))
        with T.If(T.Not(alone)), T.Then():
            intrin.assign(last, self.find_key(key))
        return intrin.let(last[0] == number)

    def clear(self) -> None:
        """Emit that there are no entries."""
        for what in (self._count, self._asked, self._slots):
            intrin.assign(what, 0)

    def _cut(self, count) -> None:
        """Emit that there are only the first `count` entries."""
        intrin.assign(self._count, count)

    def reserve(self, count) -> None:
        """Emit that there is room for `count` (int64) entries."""
        self._entries.ensure(intrin.let(count) * T.int64(self._size))

    def append(self, word):
        """Emit one more entry, whose key has this first word (int64); gives its address."""
        place = intrin.let(self.entry(self._count[0]))
        intrin.store("int64", self._words + T.bitwise_and(self._count[0], T.int64(SCAN - 1)) * T.int64(8), word)
        intrin.assign(self._count, self._count[0] + T.int64(1))
        return place

    def find_key(self, key: tuple[Expr, ...]):
        """The number (int64) of the last entry with this key, -1 if there is none; builds the index when it is time to."""
        number = intrin.local("int64", 0)
        with T.If(self._count[0] <= T.int64(SCAN)):
            with T.Then():
                self._find_few(number, key)
            with T.Else():
                self._find_many(number, key)
        return intrin.let(number[0] - T.int64(1))

    def _last_equal(self, count, word):
        """1 + the number of the last of the first `count` entries, SCAN at most, whose key has this first word; 0 if there is none."""
        with T.attr(0, "pragma_import_llvm", _LAST_EQUAL):
            return intrin.let(T.call_extern("int64", "rank_last_equal", self._words, count, word))

    def _find_few(self, number, key: tuple[Expr, ...]) -> None:
        """Set `number` to 1 + the number of the last of at most SCAN entries with this key, or to 0."""
        intrin.assign(number, self._count[0] + T.int64(1))
        going = intrin.local("int32", 1)
        with T.While(going[0] == 1):
            intrin.assign(number, self._last_equal(number[0] - T.int64(1), key[0]))
            intrin.assign(going, T.cast(number[0] > T.int64(0), "int32"))
            with T.If(going[0] == 1), T.Then():
                same = self.same(intrin.let(self.entry(number[0] - T.int64(1))), key)
                intrin.assign(going, T.if_then_else(same, T.int32(0), T.int32(1)))

    def _find_many(self, number, key: tuple[Expr, ...]) -> None:
        """The same for more entries; builds the index when it is time to."""
        first = intrin.local("int64", self._count[0])
        with T.If(self._slots[0] == T.int64(0)), T.Then():
            intrin.assign(self._asked, self._asked[0] + T.int64(1))
            with T.If(self._asked[0] > T.int64(ASKED)), T.Then():
                intrin.assign(self._slots, make_slots(self._index, self._count[0]))
                intrin.assign(first, 0)
        # the same search puts the entries into a new index, one after the other, and answers behind them
        with T.serial(first[0], self._count[0] + T.int64(1)) as asked:
            wanted = [intrin.local("int64", part) for part in key]
            is_entry = intrin.let(asked < self._count[0])
            with T.If(is_entry), T.Then():
                for part, own in zip(wanted, self.key_of(intrin.let(self.entry(asked))), strict=True):
                    intrin.assign(part, own)
            place = self._search(number, tuple(intrin.let(part[0]) for part in wanted))
            with T.If(is_entry), T.Then():
                intrin.store("int32", self._index.address + place * T.int64(4), asked + T.int64(1))

    def _search(self, number, key: tuple[Expr, ...]):
        """Set `number` to 1 + the number of the entry with this key, or to 0: by slots, or without an index from the last to the first.
        Gives the slot where the search ended."""
        has_index = intrin.let(self._slots[0] > T.int64(0))
        slot = slot_of(key[0], self._entries.address, self._slots[0])
        place = intrin.local("int64", T.if_then_else(has_index, slot, self._count[0]))
        going = intrin.local("int32", 1)
        with T.While(going[0] == 1):
            listed = T.cast(intrin.load("int32", self._index.address + place[0] * T.int64(4)), "int64")
            intrin.assign(number, T.if_then_else(has_index, listed, place[0]))
            intrin.assign(going, T.cast(number[0] > T.int64(0), "int32"))
            with T.If(going[0] == 1), T.Then():
                same = self.same(intrin.let(self.entry(number[0] - T.int64(1))), key)
                beyond = T.bitwise_and(place[0] + T.int64(1), self._slots[0] - T.int64(1))
                following = T.if_then_else(has_index, beyond, place[0] - T.int64(1))
                intrin.assign(going, T.if_then_else(same, T.int32(0), T.int32(1)))
                intrin.assign(place, T.if_then_else(same, place[0], following))
        return intrin.let(place[0])


def make_slots(index: Scratch, count):
    """Room for an index of `count` entries, all slots 0; gives how many slots there are (a power of two, twice the count at least)."""
    slots = intrin.local("int64", 2 * SCAN)
    with T.While(slots[0] < count * T.int64(2)):
        intrin.assign(slots, slots[0] * T.int64(2))
    index.ensure(intrin.let(slots[0] * T.int64(4)))
    with T.serial(slots[0] // T.int64(2)) as k:
        intrin.store("int64", index.address + k * T.int64(8), T.int64(0))
    return intrin.let(slots[0])


def slot_of(word, place, slots):
    """The slot where the search for a key with this first word begins. The place of the entries is mixed in, so that keys cannot be made
    beforehand that all want the same slot."""
    mixed = (intrin.Word.of(word) ^ intrin.Word.of(place)) * _MIX
    mixed = (mixed ^ (mixed >> 32)) * _MIX
    return intrin.let(T.bitwise_and((mixed >> 32).signed, slots - T.int64(1)))
