"""The key index of the item store: an open-addressed table from item key to row, built and searched by compiled kernels.

    slots (size, 2) int64        (word, row + 1), row + 1 == 0: the slot is free        size: a power of two, at most half full

The word is the FarmHash of a text key, whose bytes are then compared, or the int64 key itself. Linear probing from the hash of the key.
A key that is null, or that no item has, leads to the last row of the store, whose fields are all missing.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import WORDS, Field, Word
from te_schedules.column_group.kernel import OPERATOR
from te_schedules.text import hash_farm
from te_schedules.text.equal import emit as equal
from te_schedules.tokens import Text

TEXT, NUMBER = "text", "number"
SLOT = 2  # int64 of a slot
BLOCK = 64  # keys whose slots are asked for before the first is read
_MIX = 0x9E3779B97F4A7C15  # the odd number next to 2**64 / golden ratio


def find_rows(key_form: str, name: str = "find_rows"):
    """The kernel: ids (1, WORDS), keys (1, WORDS), slots (size, 2), all int64 -> rows (N,) int32.

    ids and keys are descriptors of columns of `key_form`; of keys the last row is that of missing items.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, OPERATOR: "rank.find_rows", "op_pattern": 8})
        ids, keys, slots = _columns("ids", "keys")
        count = T.int64()
        rows = T.match_buffer(T.arg("p_rows", T.handle()), (count,), "int32", align=4)
        with intrin.imports():
            given, search = _field(ids), _Search(key_form, _field(keys), slots)
            missing = intrin.let(keys[0, int(Word.ROWS)] - T.int64(1))
            words = intrin.array(BLOCK, "int64")
            with T.serial((count + T.int64(BLOCK - 1)) // T.int64(BLOCK)) as number:
                first = intrin.let(number * T.int64(BLOCK))
                end = intrin.let(T.min(first + T.int64(BLOCK), count))
                with T.serial(first, end) as k:
                    T.buffer_store(words, T.int64(0), [k - first])
                    at, end_at = given.elements(k)  # none of a null, and of a column that `guard_columns` has replaced
                    with T.If(at < end_at), T.Then():
                        word = search.word(given, at)
                        T.buffer_store(words, word, [k - first])
                        intrin.prefetch(search.slot_address(search.start(word)))
                with T.serial(first, end) as k:
                    found = intrin.local("int64", missing)
                    at, end_at = given.elements(k)
                    with T.If(at < end_at), T.Then():
                        row = search.find(given, at, intrin.let(words[k - first]))[0]
                        intrin.assign(found, T.if_then_else(row >= T.int64(0), row, missing))
                    T.buffer_store(rows, T.cast(found[0], "int32"), [k])
    return builder.get()


def build_index(key_form: str, name: str = "build_index"):
    """The kernel: keys (1, WORDS) int64, slots (size, 2) int64, all zeros before -> status (3,) int64, and the slots.

    status: (0, 0, 0), or (1, row, 0) for a null key, or (2, row, other) for the key of `row` that `other`, before it, has too. The last row
    of keys is that of missing items, and has no slot.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, OPERATOR: "rank.build_index", "op_pattern": 8})
        (keys, slots) = _columns("keys")
        status = T.match_buffer(T.arg("p_status", T.handle()), (3,), "int64", align=8)
        with intrin.imports():
            for k in range(3):
                T.buffer_store(status, T.int64(0), [k])
            field = _field(keys)
            search = _Search(key_form, field, slots)
            row, count = intrin.local("int64", 0), intrin.let(keys[0, int(Word.ROWS)] - T.int64(1))

            def refuse(what: int, other) -> None:
                T.buffer_store(status, T.int64(what), [0])
                T.buffer_store(status, row[0], [1])
                T.buffer_store(status, other, [2])

            with T.While(T.And(row[0] < count, status[0] == T.int64(0))):
                here = intrin.let(row[0])
                with T.If(field.row_is_valid(here)):
                    with T.Then():
                        word = intrin.let(search.word(field, here))
                        other, place = search.find(field, here, word)
                        with T.If(other >= T.int64(0)):
                            with T.Then():
                                refuse(2, other)
                            with T.Else():
                                T.buffer_store(slots, word, [place, 0])
                                T.buffer_store(slots, here + T.int64(1), [place, 1])
                    with T.Else():
                        refuse(1, T.int64(0))
                intrin.assign(row, row[0] + T.int64(1))
            with T.If(status[0] != T.int64(0)), T.Then():
                T.buffer_store(status, row[0] - T.int64(1), [1])
    return builder.get()


def _columns(*names: str) -> tuple[Any, ...]:
    """The buffers of descriptors, and of the slots."""
    handles = {name: T.arg(f"p_{name}", T.handle()) for name in (*names, "slots")}
    size = T.int64()
    matched = [T.match_buffer(handles[name], (1, WORDS), "int64", align=8) for name in names]
    return (*matched, T.match_buffer(handles["slots"], (size, SLOT), "int64", align=8))


def _field(descriptor) -> Field:
    return Field(lambda word: descriptor[0, int(word)])


class _Search:
    """Walks from the hash of a key to its slot, or to a free one."""

    def __init__(self, form: str, keys: Field, slots):
        self._is_text, self._keys, self._slots = form == TEXT, keys, slots
        self._size = intrin.let(slots.shape[0])
        self._mask = intrin.let(self._size - T.int64(1))

    def word(self, field: Field, at):
        """The word (int64) of the key in row `at` of a column."""
        if not self._is_text:
            return intrin.let(field.number(at, "int64"))
        start, end = field.text(at)
        return intrin.let(hash_farm.emit(start, intrin.let(end - start)).signed)

    def start(self, word):
        """The slot where the search for a word begins."""
        mixed = intrin.Word.of(word)
        if not self._is_text:  # a FarmHash is mixed already
            mixed = (mixed ^ (mixed >> 32)) * _MIX
            mixed = mixed ^ (mixed >> 29)
        return intrin.let(T.bitwise_and(mixed.signed, self._mask))

    def slot_address(self, slot):
        """The address of a slot."""
        return intrin.address_of_row(self._slots, slot)

    def find(self, field: Field, at, word) -> tuple[Any, Any]:
        """(row of the key in row `at` of a column, or -1; the slot where the search ended). Ends after as many steps as there are slots."""
        place, found = intrin.local("int64", self.start(word)), intrin.local("int64", -1)
        steps = intrin.local("int64", self._size)
        with T.While(steps[0] > T.int64(0)):
            row = intrin.let(self._slots[place[0], 1] - T.int64(1))
            intrin.assign(steps, steps[0] - T.int64(1))
            with T.If(row < T.int64(0)):
                with T.Then():
                    intrin.assign(steps, 0)
                with T.Else():
                    same = intrin.local("int32", T.cast(self._slots[place[0], 0] == word, "int32"))
                    if self._is_text:
                        with T.If(same[0] == 1), T.Then():
                            intrin.assign(same, T.cast(equal(_text(self._keys, row), _text(field, at)), "int32"))
                    with T.If(same[0] == 1):
                        with T.Then():
                            intrin.assign(found, row)
                            intrin.assign(steps, 0)
                        with T.Else():
                            intrin.assign(place, T.bitwise_and(place[0] + T.int64(1), self._mask))
        return intrin.let(found[0]), intrin.let(place[0])


def _text(field: Field, at) -> Text:
    start, end = field.text(at)
    return Text(start, intrin.let(end - start))
