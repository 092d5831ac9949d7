"""Values of a feature that other features read: kept in scratch memory for a block of rows, under a descriptor like a column's.

Texts and numbers are kept as they are before a bucketizer, ids of a feature with a bucketizer as int64. A feature whose inputs all have
one row for all rows has one row too, and is computed once per block.

    id_feature, texts     LIST = [0 2 2 3]   TEXT = [0 1 3 4]   DATA = "abbc"      rows: a, bb · none · c
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin, thread_memory
from te_schedules.column import WORDS, Form, Word
from te_schedules.column_group.rows import kept_ids, kept_texts
from te_schedules.feature.kind import MEMORY_RULE
from te_schedules.growable import Growable
from te_schedules.text import copy

TEXTS, IDS, NUMBERS = "texts", "ids", "numbers"
MEMORIES = 5  # values, text ends, and the three kinds of offsets
MOST_BYTES = 2**31 - 1  # what int32 offsets reach
Expr = Any


class Made:
    """The descriptors of the features that are read by others, and their memory, inside of a block."""

    def __init__(self, count: int):
        self._memories = count * MEMORIES
        size = count * (WORDS + MEMORIES)
        self.address = thread_memory.take(T.int64(8 * size))  # of the descriptors
        self._kept = intrin.let(self.address + T.int64(8 * count * WORDS))
        with T.serial(T.int64(size)) as k:
            intrin.store("int64", self.address + k * T.int64(8), T.int64(0))

    def write(self, slot, word: Word, value) -> None:
        """Set a word of a descriptor."""
        intrin.store("int64", self.address + (slot * T.int64(WORDS) + T.int64(int(word))) * T.int64(8), value)

    def keep(self, slot, k: int, address) -> None:
        """Give this memory back at the end of the block."""
        intrin.store("int64", self._kept + (slot * T.int64(MEMORIES) + T.int64(k)) * T.int64(8), address)

    def free(self) -> None:
        """Emit the return of all memory."""
        with T.serial(T.int64(self._memories)) as k:
            address = intrin.let(intrin.load("int64", self._kept + k * T.int64(8)))
            with T.If(address != T.int64(0)), T.Then():
                thread_memory.give(address)
        thread_memory.give(self.address)


def kept_values(kind) -> str:
    """What is kept of a kind: TEXTS, IDS or NUMBERS."""
    return TEXTS if kind.yields_texts else IDS if kind.yields_ids else NUMBERS


@dataclass(frozen=True)
class Materialize:
    """The values of a feature, kept for the block. Needs the int `slot`, the number of its descriptor.

    single: a row (of a sequence: an element) has one text at most; it is a scalar then, so that a reader may split it
    """

    values: str
    single: bool

    def narrowed(self, block, scope, made: Made):
        """The block with one row, if one row serves all."""
        strides = [field[Word.STRIDE] for field in scope.fields]
        scope.made = made
        together = intrin.let(reduce(T.bitwise_or, strides, T.int64(0)))
        scope.stride = intrin.let(T.Select(together == T.int64(0), T.int64(0), T.int64(1)))  # fields of records have larger ones
        return replace(block, end=intrin.let(T.Select(scope.stride == T.int64(0), block.first + T.int64(1), block.end)))

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        constants = {
            TEXTS: ("limit", "default_text_at", "default_text_count"),
            IDS: ("limit", "default_ids_at", "default_ids_count"),
            NUMBERS: ("dimension",),
        }
        scope.bind("slot", *constants[self.values])
        _Writer(self, block, scope, section).emit()


class _Writer:
    """The code of one column: rows, in a sequence their elements, and in these the values."""

    def __init__(self, sink: Materialize, block, scope, section):
        self.sink, self.block, self.scope, self.section = sink, block, scope, section
        self.is_sequence = scope.elements is not None
        self.values = Growable(*{TEXTS: ("uint8", 1), IDS: ("int64", 8), NUMBERS: ("float32", 4)}[sink.values])
        self.count = intrin.local("int64", 0)  # of values
        rows = intrin.let(block.end - block.first + T.int64(1))
        self.rows = thread_memory.take(rows * T.int64(4))
        self.text_ends: Any = self._offsets() if sink.values == TEXTS else None
        self.outer: Any = thread_memory.take(rows * T.int64(4)) if self.is_sequence else None
        self.inner: Any = self._offsets() if self.is_sequence else None

    @staticmethod
    def _offsets() -> Growable:
        offsets = Growable("int32", 4)
        offsets.append(T.int32(0))
        return offsets

    def emit(self) -> None:
        """Emit the walk, then the descriptor."""
        scope, first = self.scope, self.block.first
        intrin.store("int32", self.rows, T.int32(0))
        if self.is_sequence:
            intrin.store("int32", self.outer, T.int32(0))
        with T.serial(first, self.block.end) as row:
            behind = intrin.let((row - first + T.int64(1)) * T.int64(4))
            if self.is_sequence:
                scope.elements.each(row, self._element)
                intrin.store("int32", self.outer + behind, scope.elements.bounds(row)[1])
            else:
                self._one(row)
            intrin.store("int32", self.rows + behind, self.count[0])
        self._describe()

    def _element(self, element) -> None:
        self._one(element)
        self.inner.append(self.count[0])

    def _one(self, row) -> None:
        """The values of one row or element."""
        {TEXTS: self._texts, IDS: self._ids, NUMBERS: self._numbers}[self.sink.values](row)

    def _fits(self, size, body: Callable[[], None]) -> None:
        with T.If(self.values.bytes + size > T.int64(MOST_BYTES)):
            with T.Then():
                self.scope.refuse(self.block.first, MEMORY_RULE)
            with T.Else():
                body()

    def _texts(self, row) -> None:
        def text(value, _weight) -> None:
            def put() -> None:
                self.values.reserve(value.length)
                copy.emit(value, intrin.let(self.values.end))
                self.values.extend(value.length)

            self._fits(value.length, put)
            if not self.sink.single:
                self._end_text()

        kept_texts(self.section, self.scope, row, text, most=1 if self.sink.single else None)
        if self.sink.single:
            self._end_text()

    def _end_text(self) -> None:
        self.text_ends.append(self.values.bytes)
        intrin.assign(self.count, self.count[0] + T.int64(1))

    def _ids(self, row) -> None:
        def keep(number, _weight) -> None:
            def put() -> None:
                self.values.append(number)
                intrin.assign(self.count, self.count[0] + T.int64(1))

            self._fits(T.int64(8), put)

        kept_ids(self.section, self.scope, row, keep)

    def _numbers(self, row) -> None:
        size = intrin.let(self.scope.int("dimension") * T.int64(4))

        def put() -> None:
            self.values.reserve(size)
            begin = intrin.let(self.values.end)
            self.section.kind.emit_numbers(self.scope, row, lambda k, value: intrin.store("float32", begin + k * T.int64(4), value))
            self.values.extend(size)
            intrin.assign(self.count, self.count[0] + self.scope.int("dimension"))

        self._fits(size, put)

    def _describe(self) -> None:
        scope, slot, made = self.scope, self.scope.int("slot"), self.scope.made
        first = intrin.let(self.block.first * scope.stride)  # row `first` of the kernel is row 0 of the memory
        form = {TEXTS: Form.TEXT, IDS: Form.INT64, NUMBERS: Form.FLOAT32}[self.sink.values]
        scalar = self.sink.single and not self.is_sequence
        width = {TEXTS: 4, NUMBERS: 4, IDS: 8}[self.sink.values]
        moved = first * T.int64(width) if scalar else T.int64(0)
        made.write(slot, Word.FORM, T.int64(int(form)))
        made.write(slot, Word.STRIDE, scope.stride)
        made.write(slot, Word.LIST, T.int64(0) if scalar else self.rows - first * T.int64(4))
        made.write(slot, Word.DATA, self.values.address - (moved if self.sink.values != TEXTS else T.int64(0)))
        made.keep(slot, 0, self.values.address)
        made.keep(slot, 1, self.rows)
        if self.text_ends is not None:
            made.write(slot, Word.TEXT, self.text_ends.address - moved)
            made.write(slot, Word.BYTES, self.values.bytes)
            made.keep(slot, 2, self.text_ends.address)
        if self.is_sequence:
            made.write(slot, Word.OUTER, self.outer - first * T.int64(4))
            made.write(slot, Word.INNER, T.int64(0) if self.sink.single else self.inner.address)
            made.keep(slot, 3, self.outer)
            made.keep(slot, 4, self.inner.address)
