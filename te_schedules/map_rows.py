"""The entries of one row of a map, read once and then looked up by key.

A map is an Arrow map, a list of texts `key:value`, or one text of such parts. All three become the same array of entries in scratch
memory, which stays for as long as kernel rows lead to the same row of the column, so that a map of the request is read once a block.

    entry (32 bytes):  word int64 · key address int64 · key length int32 · value length int32 · value int64
        word          the key itself: its bytes up to eight of them, or the integer; the hash of a longer key
        key length    in bytes; INTEGER for an integer
        value         address of `value length` bytes; the map's element if that is ELEMENT; nothing if it is BARE

How they are found: `entries.py`.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Field, Form, Word
from te_schedules.entries import Entries
from te_schedules.text import digest, equal, format_int, parse_float, parse_int, search
from te_schedules.tokens import INT_TEXT_BYTES, Text, for_each_token

Expr = Any
ENTRY = 32
WORD, ADDRESS, KEY_LENGTH, VALUE_LENGTH, VALUE = 0, 8, 16, 20, 24
INTEGER, ELEMENT, BARE = -1, -2, -3


def map_separators(scope) -> tuple:
    """The bytes between the parts of a map in one text: chr(29), and the file's own (chr(29) again if it has none)."""
    return T.uint8(0x1D), T.cast(scope.int("map_separator"), "uint8")


class MapRow(Entries):
    """The entries of the row that `load` was called for last. `bare`: a key may lack its value."""

    def __init__(self, scope, field: Field, separators: tuple, *, delimiter: Expr = None, bare: bool = False):
        super().__init__(scope, ENTRY)
        self.field, self._separators, self._bare = field, separators, bare
        self._delimiter = T.uint8(ord(":")) if delimiter is None else delimiter
        self._first, self._last = intrin.local("int64", -1), intrin.local("int64", -1)
        self._digits = intrin.array(INT_TEXT_BYTES, "uint8")
        self._secret = intrin.let(scope.int_address(T.int64(0)))  # where the constants lie this time
        for word in (Word.WEIGHT, Word.WEIGHT_FORM, Word.WEIGHT_VALID, Word.WEIGHT_BIT, Word.WEIGHT_TEXT):
            field[word]
        self._text_items = intrin.let(T.And(field.is_map, field[Word.WEIGHT_FORM] == T.int64(int(Form.TEXT))))
        self._in_texts = intrin.let(T.And(field.is_text, T.Not(field.is_map)))

    @property
    def values_are_text(self):
        """Condition: values come as text, so that numbers are computed in float64."""
        return T.Or(self._in_texts, self._text_items)

    def load(self, row) -> None:
        """Emit the reading of the map of a kernel row, unless it is the one that was read last."""
        first, last = self.field.elements(row)
        with T.If(T.Or(first != self._first[0], last != self._last[0])), T.Then():
            intrin.assign(self._first, first)
            intrin.assign(self._last, last)
            self.clear()
            with T.If(first < last), T.Then():
                self.reserve(self._bound(first, last))
                for_each_token(self.field, row, self._separators, self._add)

    def _bound(self, first, last):
        """At least as many as there are entries: a part of a text has a byte, a separator, and with a value two bytes more."""
        part = 2 if self._bare else 4
        size = (self.field.text_end(last - T.int64(1)) - self.field.text_offset(first)) // T.int64(part) + T.int64(1)
        return T.if_then_else(T.And(self._in_texts, self.field.is_scalar), size, last - first)

    def _add(self, text: Text, element) -> None:
        """Add `key:value`, cut at the first delimiter, or the key and the item of a map. An empty or null value is none."""
        end = intrin.let(text.address + text.length)
        cut = intrin.local("int64", end)
        length, value = intrin.local("int64", BARE), intrin.local("int64", element)
        with T.If(self._in_texts):
            with T.Then():
                intrin.assign(cut, search.find(text.address, end, self.field.text_limit, self._delimiter, self._delimiter))
                intrin.assign(value, T.min(cut[0] + T.int64(1), end))
                intrin.assign(length, end - value[0])
            with T.Else(), T.If(self.field.is_map), T.Then(), T.If(self.field.item_is_valid(element)), T.Then():
                intrin.assign(length, ELEMENT)
                with T.If(self._text_items), T.Then():
                    start, stop = self.field.item_text(element)
                    intrin.assign(length, T.if_then_else(stop > start, stop - start, T.int64(BARE)))
                    intrin.assign(value, start)
        has_value = T.Or(length[0] > T.int64(0), length[0] == T.int64(ELEMENT))
        with T.If(T.Or(T.bool(self._bare), has_value)), T.Then():
            value_length = intrin.let(T.if_then_else(has_value, length[0], T.int64(BARE)))
            self._store(Text(text.address, intrin.let(cut[0] - text.address)), element, value_length, intrin.let(value[0]))

    def _store(self, key: Text, element, value_length, value) -> None:
        length, word = intrin.local("int64", key.length), intrin.local("int64", 0)
        with T.If(self.field.is_text):
            with T.Then():
                intrin.assign(word, self._digest(key, self.field))
            with T.Else():
                intrin.assign(word, self.field.number(element, "int64"))
                intrin.assign(length, INTEGER)
        place = self.append(word[0])
        intrin.store("int64", place + T.int64(WORD), word[0])
        intrin.store("int64", place + T.int64(ADDRESS), key.address)
        intrin.store("int32", place + T.int64(KEY_LENGTH), length[0])
        intrin.store("int32", place + T.int64(VALUE_LENGTH), value_length)
        intrin.store("int64", place + T.int64(VALUE), value)

    def _digest(self, key: Text, field: Field):
        """The word of a key, which is a text of `field` or lies in a buffer of INT_TEXT_BYTES."""
        return digest.keyed(key, field.text_limit, self._secret)

    # ------------------------------------------------------------ look-ups

    def find(self, key: Text, field: Field):
        """The number (int64) of the entry with this key, -1 if there is none. The decimal text of an integer finds the integer. The key
        is a text of `field`, or of one of its integers."""
        found = intrin.local("int64", -1)
        with T.If(self.count > T.int64(0)), T.Then():
            wanted = _Wanted(key)
            self._word_of(key, field, wanted)
            self._find(wanted, found)
        return intrin.let(found[0])

    def find_key_of(self, other: MapRow, number):
        """The same for the key of an entry of another map, whose word is known if the keys of both are texts, or integers."""
        found = intrin.local("int64", -1)
        with T.If(self.count > T.int64(0)), T.Then():
            word, length, address = other.key_of(intrin.let(other.entry(number)))
            wanted = _Wanted(Text(address, length), word, 1)
            with T.If(T.cast(self.field.is_text, "int32") != T.cast(other.field.is_text, "int32")), T.Then():
                key = other.key_text(number)
                intrin.assign(wanted.length, key.length)
                intrin.assign(wanted.address, key.address)
                self._word_of(key, other.field, wanted)
            self._find(wanted, found)
        return intrin.let(found[0])

    def _word_of(self, key: Text, field: Field, wanted: _Wanted) -> None:
        with T.If(self.field.is_text):
            with T.Then():
                intrin.assign(wanted.word, self._digest(key, field))
                intrin.assign(wanted.known, 1)
            with T.Else():
                is_decimal, number = _decimal(key)
                intrin.assign(wanted.word, number)
                intrin.assign(wanted.length, INTEGER)
                intrin.assign(wanted.known, T.cast(is_decimal, "int32"))

    def _find(self, wanted: _Wanted, found) -> None:
        with T.If(wanted.known[0] == 1), T.Then():
            key = (wanted.word[0], wanted.length[0], wanted.address[0])
            intrin.assign(found, self.find_key(tuple(intrin.let(part) for part in key)))

    def key_of(self, place) -> tuple[Expr, ...]:
        """(word, length, address) of the key of the entry at `place`."""
        length = intrin.let(T.cast(intrin.load("int32", place + T.int64(KEY_LENGTH)), "int64"))
        word, address = (intrin.let(intrin.load("int64", place + T.int64(at))) for at in (WORD, ADDRESS))
        return word, length, address

    def same(self, place, key: tuple[Expr, ...]):
        """Condition: the entry at `place` has this key."""
        word, length, address = key
        equals = intrin.local("int32", T.cast(intrin.load("int64", place + T.int64(WORD)) == word, "int32"))
        with T.If(equals[0] == 1), T.Then():
            _, other_length, other_address = self.key_of(place)
            intrin.assign(equals, T.cast(other_length == length, "int32"))
            with T.If(T.And(equals[0] == 1, length > T.int64(digest.EXACT))), T.Then():
                intrin.assign(equals, T.cast(equal.emit(Text(address, length), Text(other_address, length)), "int32"))
        return intrin.let(equals[0] == 1)

    # ------------------------------------------------------------ what an entry holds

    def key_text(self, number) -> Text:
        """The key of an entry as text; an integer's is written into a small buffer that the next one uses again."""
        place = intrin.let(self.entry(number))
        word, length, address = self.key_of(place)
        start, size = intrin.local("int64", address), intrin.local("int64", length)
        with T.If(length == T.int64(INTEGER)), T.Then():
            intrin.assign(start, intrin.address_of(self._digits))
            intrin.assign(size, format_int.emit(word, intrin.let(start[0])))
        return Text(intrin.let(start[0]), intrin.let(size[0]))

    def value_text(self, number) -> Text:
        """The value of an entry as text; an integer's is written into a small buffer that the next one uses again."""
        length, value = self._value(number)
        start, size = intrin.local("int64", value), intrin.local("int64", length)
        with T.If(length == T.int64(ELEMENT)), T.Then():
            intrin.assign(start, intrin.address_of(self._digits))
            integer = intrin.let(self.field.item_number(value, "int64"))
            intrin.assign(size, format_int.emit(integer, intrin.let(start[0])))
        return Text(intrin.let(start[0]), intrin.let(size[0]))

    def value_number(self, number):
        """(valid, value) of an entry, float64: a number of the map rounded to float32, or the double that a text spells."""
        is_text, start, end = self.value_range(number)
        valid, result = intrin.local("bool", T.bool(False)), intrin.local("float64", 0.0)
        with T.If(is_text):
            with T.Then():
                is_number, parsed = parse_float.emit(start, intrin.let(end - start))
                intrin.assign(valid, is_number)
                intrin.assign(result, parsed)
            with T.Else():
                has_value, value = self.element_number(number)
                intrin.assign(valid, has_value)
                intrin.assign(result, value)
        return intrin.let(valid[0]), intrin.let(result[0])

    def value_range(self, number):
        """(condition, first, end) of the bytes of an entry's value; the condition is false when it is no text."""
        length, value = self._value(number)
        return intrin.let(length >= T.int64(0)), value, intrin.let(value + T.max(length, T.int64(0)))

    def element_number(self, number):
        """(valid, value) of an entry whose value is no text: a number of the map, rounded to float32, as float64."""
        length, value = self._value(number)
        valid, result = intrin.let(length == T.int64(ELEMENT)), intrin.local("float64", 0.0)
        with T.If(valid), T.Then():
            intrin.assign(result, T.cast(self.field.item_number(value, "float32"), "float64"))
        return valid, intrin.let(result[0])

    def _value(self, number):
        place = intrin.let(self.entry(number))
        length = intrin.let(T.cast(intrin.load("int32", place + T.int64(VALUE_LENGTH)), "int64"))
        return length, intrin.let(intrin.load("int64", place + T.int64(VALUE)))


class _Wanted:
    """A key that is looked for, in mutable locals; `known`: 1 when there can be such a key."""

    def __init__(self, key: Text, word: Expr = 0, known: int = 0):
        self.address, self.length = intrin.local("int64", key.address), intrin.local("int64", key.length)
        self.word, self.known = intrin.local("int64", word), intrin.local("int32", known)


def _decimal(text: Text):
    """(condition, int64): whether the text is how an int64 is printed, and which one. "+1", "01" and "-0" are not."""
    is_decimal, number = intrin.local("bool", T.bool(False)), intrin.local("int64", 0)
    _, value, in_range = parse_int.emit(text.address, text.length)
    with T.If(in_range), T.Then():
        first = intrin.let(T.cast(intrin.load("uint8", text.address), "int32"))
        negative = intrin.let(T.cast(first == T.int32(ord("-")), "int64"))
        digit = intrin.let(T.cast(intrin.load("uint8", text.address + negative), "int32"))  # there is one: it is an integer
        alone = T.And(text.length == T.int64(1), negative == T.int64(0))
        intrin.assign(is_decimal, T.And(first != T.int32(ord("+")), T.Or(digit != T.int32(ord("0")), alone)))
        intrin.assign(number, value)
    return intrin.let(is_decimal[0]), intrin.let(number[0])
