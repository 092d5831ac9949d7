"""The entries of one row of a nested map, category -> item -> value, read once and then looked up by category and item.

    text        cat^item:val,item:val|cat2^item:val      one text, or a list of such texts
    Arrow map   cat -> item:val,item:val

Blanks around each part are dropped, and so are empty parts. A group that is not category^items, or an item that is not item:value, makes
the whole row empty. How entries are found: `entries.py`. For enumeration, entries can be chained by item or by category.

    entry (48 bytes):  word int64 · item address, value address, category address int64 · item, value, category length int32 · next int32
        word          of both keys, for the index
        next          1 + the number of the next entry of its chain; 0 at the end
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Field, Word
from te_schedules.entries import Entries, make_slots, slot_of
from te_schedules.scratch import Scratch
from te_schedules.text import digest, equal, nested_text
from te_schedules.tokens import Text, find_byte, for_each_token

Expr = Any
ENTRY = 48
WORD, ITEM, VALUE, CATEGORY, ITEM_LENGTH, VALUE_LENGTH, CATEGORY_LENGTH, NEXT = 0, 8, 16, 24, 32, 36, 40, 44
LENGTHS = {ITEM: ITEM_LENGTH, VALUE: VALUE_LENGTH, CATEGORY: CATEGORY_LENGTH}
PART = 4  # bytes of the shortest item with its value and separator
_SPREAD = 0xC2B2AE3D27D4EB4F  # an odd number: the order of category and item matters


@dataclass(frozen=True)
class Range:
    """Bytes between two addresses that move."""

    first: Any
    end: Any

    def text(self) -> Text:
        """The bytes as they are now."""
        first = intrin.let(self.first[0])
        return Text(first, intrin.let(self.end[0] - first))


def _range(first=0, end=0) -> Range:
    return Range(intrin.local("int64", first), intrin.local("int64", end))


def pair_word(category, item):
    """The word of a pair of texts, from their digests (int64)."""
    return intrin.let((intrin.Word.of(category) * _SPREAD ^ intrin.Word.of(item)).signed)


class NestedRow(Entries):
    """The entries of the row that `load` was called for last. `chained`: 0, ITEM or CATEGORY."""

    def __init__(self, scope, field: Field, separator, *, chained: int = 0):
        super().__init__(scope, ENTRY)
        self.field, self._separator, self._chained = field, separator, chained
        self._first, self._last = intrin.local("int64", -1), intrin.local("int64", -1)
        self._valid = intrin.local("int32", 1)
        self._chains, self._heads = Scratch(scope), intrin.local("int64", 0)
        for word in (Word.WEIGHT, Word.WEIGHT_VALID, Word.WEIGHT_BIT, Word.WEIGHT_TEXT):
            field[word]

    def load(self, row) -> None:
        """Emit the reading of the map of a kernel row, unless it is the one that was read last."""
        first, last = self.field.elements(row)
        with T.If(T.Or(first != self._first[0], last != self._last[0])), T.Then():
            intrin.assign(self._first, first)
            intrin.assign(self._last, last)
            self.clear()
            with T.If(first < last), T.Then():
                self._read(row, first, last)
                with T.If(self._valid[0] == 0), T.Then():
                    self.clear()
                if self._chained:
                    self._chain()

    def _read(self, row, first, last) -> None:
        field = self.field
        intrin.assign(self._valid, 1)
        size = T.if_then_else(field.is_map, field.item_offset(last) - field.item_offset(first), _text_bytes(field, first, last))
        # each text is one part at least
        self.reserve(size // T.int64(PART) + (last - first) + T.int64(1))

        def token(text: Text, element) -> None:
            rest = _range(text.address, text.address + text.length)
            category = _range(text.address, text.address + text.length)
            with T.If(field.is_map), T.Then():
                start, end = field.item_text(element)
                intrin.assign(rest.first, start)
                intrin.assign(rest.end, T.if_then_else(field.item_is_valid(element), end, start))
            plain = intrin.local("int32", 0)
            with T.If(T.Not(field.is_map)), T.Then():
                before = intrin.let(self.count)
                nested_text.emit(text, field.text_limit, plain, self._store)
                with T.If(plain[0] == 0), T.Then():
                    self._cut(before)
            with T.If(plain[0] == 0), T.Then():
                _for_each_part(rest, T.uint8(ord("|")), lambda group: self._add_group(group, category), whole=field.is_map)

        for_each_token(field, row, (self._separator, self._separator), token)

    def _add_group(self, group: Range, category: Range) -> None:
        """Add the items of `category^items`, or of a map's items: its key is the category."""
        with T.If(T.Not(self.field.is_map)), T.Then():
            items = self._pair(group, ord("^"), category)
            intrin.assign(group.first, items.first[0])
            intrin.assign(group.end, items.end[0])
        item = _range()
        word = digest.emit(category.text())

        def add(part: Range) -> None:
            value = self._pair(part, ord(":"), item)
            with T.If(self._valid[0] == 1), T.Then():
                self._store(word, category.text(), item.text(), value.text())

        with T.If(self._valid[0] == 1), T.Then():
            _for_each_part(group, T.uint8(ord(",")), add)

    def _pair(self, text: Range, delimiter: int, left: Range) -> Range:
        """Split a text in its two parts, or note that it has another number of them; sets `left` and gives the right one."""
        right, count = _range(), intrin.local("int64", 0)

        def part(found: Range) -> None:
            for number, target in enumerate((left, right)):
                with T.If(count[0] == T.int64(number)), T.Then():
                    intrin.assign(target.first, found.first[0])
                    intrin.assign(target.end, found.end[0])
            intrin.assign(count, count[0] + T.int64(1))

        _for_each_part(text, T.uint8(delimiter), part)
        with T.If(count[0] != T.int64(2)), T.Then():
            intrin.assign(self._valid, 0)
        return right

    def _store(self, category_word, category: Text, item: Text, value: Text) -> None:
        word = pair_word(category_word, digest.emit(item))
        place = self.append(word)
        intrin.store("int64", place + T.int64(WORD), word)
        self._put(place, category, item, value)

    @staticmethod
    def _put(place, category: Text, item: Text, value: Text) -> None:
        for at, text in ((CATEGORY, category), (ITEM, item), (VALUE, value)):
            intrin.store("int64", place + T.int64(at), text.address)
            intrin.store("int32", place + T.int64(LENGTHS[at]), text.length)
        intrin.store("int32", place + T.int64(NEXT), T.int32(0))

    def hold(self, category: Text, item: Text, value: Text) -> None:
        """Emit that there is one entry, number 0, which no search finds, until the next `load`."""
        intrin.assign(self._first, -1)
        self.clear()
        self.reserve(T.int64(1))
        self._put(self.append(T.int64(0)), category, item, value)

    # ------------------------------------------------------------ look-ups

    def part(self, place, at: int) -> Text:
        """CATEGORY, ITEM or VALUE of the entry at `place`."""
        address = intrin.let(intrin.load("int64", place + T.int64(at)))
        return Text(address, intrin.let(T.cast(intrin.load("int32", place + T.int64(LENGTHS[at])), "int64")))

    def key_of(self, place) -> tuple[Expr, ...]:
        """(word, item address, item length, category address, category length) of the entry at `place`."""
        item, category = self.part(place, ITEM), self.part(place, CATEGORY)
        word = intrin.let(intrin.load("int64", place + T.int64(WORD)))
        return word, item.address, item.length, category.address, category.length

    def same(self, place, key: tuple[Expr, ...]):
        """Condition: the entry at `place` has this key."""
        word, *rest = key
        equals = intrin.local("int32", T.cast(intrin.load("int64", place + T.int64(WORD)) == word, "int32"))
        for text, at in ((Text(*rest[:2]), ITEM), (Text(*rest[2:]), CATEGORY)):
            with T.If(equals[0] == 1), T.Then():
                intrin.assign(equals, T.cast(equal.emit(text, self.part(place, at)), "int32"))
        return intrin.let(equals[0] == 1)

    def find(self, category: Text, category_word, item: Text):
        """The number (int64) of the entry of both texts, -1 if there is none; `category_word` is the digest of the category."""
        word = pair_word(category_word, digest.emit(item))
        return self.find_key((word, item.address, item.length, category.address, category.length))

    # ------------------------------------------------------------ chains

    def _chain(self) -> None:
        """Chain the entries that count, in their order: from the last to the first, each before those that came."""
        with T.If(self.count > T.int64(0)), T.Then():
            intrin.assign(self._heads, make_slots(self._chains, self.count))
            with T.serial(self.count) as k:
                number = intrin.let(self.count - T.int64(1) - k)
                with T.If(self.is_last(number)):
                    with T.Then():
                        place = intrin.let(self.entry(number))
                        slot, head = self._head(self.part(place, self._chained))
                        intrin.store("int32", place + T.int64(NEXT), head)
                        intrin.store("int32", self._chains.address + slot * T.int64(4), number + T.int64(1))
                    with T.Else():
                        intrin.store("int32", self.entry(number) + T.int64(VALUE_LENGTH), T.int32(-1))

    def _head(self, text: Text):
        """(slot, 1 + number of the first entry) of the chain of this text; 0 if there is none yet."""
        slot = intrin.local("int64", slot_of(digest.emit(text), self._chains.address, self._heads[0]))
        head, going = intrin.local("int64", 0), intrin.local("int32", 1)
        with T.While(going[0] == 1):
            intrin.assign(head, T.cast(intrin.load("int32", self._chains.address + slot[0] * T.int64(4)), "int64"))
            intrin.assign(going, T.cast(head[0] > T.int64(0), "int32"))
            with T.If(going[0] == 1), T.Then():
                found = equal.emit(text, self.part(intrin.let(self.entry(head[0] - T.int64(1))), self._chained))
                following = T.bitwise_and(slot[0] + T.int64(1), self._heads[0] - T.int64(1))
                intrin.assign(going, T.if_then_else(found, T.int32(0), T.int32(1)))
                intrin.assign(slot, T.if_then_else(found, slot[0], following))
        return intrin.let(slot[0]), intrin.let(head[0])

    def for_each_of(self, text: Text, body: Callable[[Expr], None]) -> None:
        """Emit `body(number)` for the entries whose ITEM (or CATEGORY), by which they are chained, is this text, in their order."""
        at = intrin.local("int64", 0)
        with T.If(self.count > T.int64(0)), T.Then():
            intrin.assign(at, self._head(text)[1])
        with T.While(at[0] > T.int64(0)):
            number = intrin.let(at[0] - T.int64(1))
            intrin.assign(at, T.cast(intrin.load("int32", self.entry(number) + T.int64(NEXT)), "int64"))
            body(number)

    def for_each(self, body: Callable[[Expr], None]) -> None:
        """Emit `body(number)` for all entries that count, in their order; the row must be chained."""
        with T.serial(self.count) as number:
            counts = intrin.load("int32", self.entry(number) + T.int64(VALUE_LENGTH)) >= T.int32(0)
            with T.If(counts), T.Then():
                body(number)


def _text_bytes(field: Field, first, last):
    return field.text_offset(last) - field.text_offset(first)


def _is_blank(byte):
    """Condition: a blank, a tab, or an end of line (bytes 9 to 13)."""
    return T.Or(byte == T.int32(32), T.And(byte >= T.int32(9), byte <= T.int32(13)))


def _for_each_part(text: Range, delimiter, body: Callable[[Range], None], whole=None) -> None:
    """Emit `body(part)` for the parts between delimiters, without blanks around them, that are not empty. `whole`: condition that the
    text is one part."""
    start = intrin.local("int64", text.first[0])
    end = intrin.let(text.end[0])
    stop = intrin.local("int64", end)
    with T.While(start[0] < end):
        if whole is None:
            intrin.assign(stop, find_byte(intrin.let(start[0]), end, delimiter))
        else:
            with T.If(T.Not(whole)), T.Then():
                intrin.assign(stop, find_byte(intrin.let(start[0]), end, delimiter))
        part = _range(start[0], stop[0])

        def blank(at):
            return _is_blank(T.cast(intrin.load("uint8", at), "int32"))

        with T.While(T.if_then_else(part.first[0] < part.end[0], blank(part.first[0]), T.bool(False))):
            intrin.assign(part.first, part.first[0] + T.int64(1))
        with T.While(T.if_then_else(part.first[0] < part.end[0], blank(part.end[0] - T.int64(1)), T.bool(False))):
            intrin.assign(part.end, part.end[0] - T.int64(1))
        with T.If(part.first[0] < part.end[0]), T.Then():
            body(part)
        intrin.assign(start, stop[0] + T.int64(1))
