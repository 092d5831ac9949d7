"""Where the elements of sequences go that the dense model reads: rows of a fixed length, zeros behind the last element.

The column keeps at most `length` elements of a row, so that no element lies beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.lane_pool import LaneSums
from te_schedules.column_group.rows import Place, kept_ids, lanes
from te_schedules.column_group.table_format import Span, TableFormat, TableRow, span_of

Expr = Any


class ElementReader:
    """What one sink does with the elements of a sequence and their ids; several sinks may read those of one column."""

    reads_ids = True

    def begin(self, row, place) -> None:
        """Emit what comes before the ids of an element; `place` is its number in the row."""

    def accept(self, number, weight, row, place) -> None:
        """Emit what becomes of one id (int64) of an element, and its weight (float32)."""

    def end(self, row, place) -> None:
        """Emit what comes behind the ids of an element."""

    def behind(self, row, count) -> None:
        """Emit what comes behind the `count` elements of a row."""


def read_elements(block, scope, section, readers: Sequence[ElementReader]) -> None:
    """Emit the rows of a block for one column: the ids of its elements are made once, and each reader has them."""
    takers = [reader for reader in readers if reader.reads_ids]
    if takers:
        scope.bind("limit", "default_ids_at", "default_ids_count")

    def one(row, first, number) -> None:
        place = intrin.let(number - first)
        for reader in takers:
            reader.begin(row, place)

        def accept(identity, weight) -> None:
            identity = intrin.let(identity) if len(takers) > 1 else identity
            for reader in takers:
                reader.accept(identity, weight, row, place)

        kept_ids(section, scope, number, accept)
        for reader in takers:
            reader.end(row, place)

    with T.serial(block.first, block.end) as row:
        first, end = scope.elements.bounds(row)
        if takers:
            scope.elements.each(row, lambda number: one(row, first, number))
        for reader in readers:
            reader.behind(row, end - first)


@dataclass(frozen=True)
class PaddedEmbeddings:
    """The ids of each element pooled, in columns out .. out + dim of an output (rows, length, width). Ints: `out`, `table_row`."""

    combiner: str
    stack: str
    form: TableFormat  # of the stack's rows
    length: int

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_elements(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, section, place: Place) -> ElementReader:
        """What it does with elements."""
        if block.lane is not None:
            return _LaneEmbeddings(self, block, scope, section, place)
        return _Embeddings(self, block, scope, section, place)


class _Embeddings(ElementReader):
    """The embeddings of elements are summed where they are written."""

    def __init__(self, sink: PaddedEmbeddings, block, scope, section, place: Place):
        self.sink, self.out, self.table = sink, place.tensor(block), block.buffers.extra[sink.stack]
        self.first, self.table_row = place.int(scope, "out"), place.int(scope, "table_row")
        self.weighted = section.kind.has_weights and sink.combiner != "max"

    def _put(self, row, place, value: Callable[[Expr], Expr]) -> None:
        lanes(self.sink.form.dim, lambda v: T.buffer_store(self.out, value(v), [row, place, self.first + v]))

    def begin(self, row, place) -> None:
        self.total = intrin.local("float32", 0.0)
        initial = tirx.const(-math.inf if self.sink.combiner == "max" else 0.0, "float32")
        self._put(row, place, lambda _v: initial)

    def accept(self, number, weight, row, place) -> None:
        form, address = self.sink.form, intrin.let(intrin.address_of_row(self.table, self.table_row + number))
        for span in form.spans():
            with form.imports(span.lanes), T.serial(T.int64(span.times)) as chunk:
                at = T.int64(span.first) + chunk * T.int64(span.count)
                self._add(TableRow(form.precision, address), weight if self.weighted else None, [row, place], at, span)
        share = weight if self.weighted else T.float32(1)
        intrin.assign(self.total, self.total[0] + (share * share if self.sink.combiner == "sqrtn" else share))

    def _add(self, entry: TableRow, weight, element: list[Expr], at, span: Span) -> None:
        """Emit what the span of a table row that begins at number `at` adds to an element."""
        numbers = T.alloc_buffer((span.lanes,), "float32", scope=intrin.local_scope())
        share, value = entry.times(weight, span.lanes), entry.lanes(at, span.lanes)
        T.buffer_store(numbers, value if share is None else value * share, [span_of(T.int64(0), span.lanes)])
        with T.vectorized(T.int64(span.count)) as v:
            place = (*element, self.first + at + v)
            before = self.out[place]
            T.buffer_store(self.out, T.max(before, numbers[v]) if self.sink.combiner == "max" else before + numbers[v], place)

    def end(self, row, place) -> None:
        combiner = self.sink.combiner
        if combiner == "sum":
            return
        total = intrin.let(self.total[0])
        divisor = intrin.let(T.sqrt(total) if combiner == "sqrtn" else total)
        with T.If(total == T.float32(0)):
            with T.Then():
                self._put(row, place, lambda _v: T.float32(0))
            with T.Else():
                if combiner != "max":
                    self._put(row, place, lambda v: self.out[row, place, self.first + v] / divisor)

    def behind(self, row, count) -> None:
        with T.serial(count, T.int64(self.sink.length)) as place:
            self._put(row, place, lambda _v: T.float32(0))


class _LaneEmbeddings(ElementReader):
    """The embeddings of elements in registers of a GPU (`lane_pool.py`)."""

    def __init__(self, sink: PaddedEmbeddings, block, scope, section, place: Place):
        self.out, self.table, self.length = place.tensor(block), block.buffers.extra[sink.stack], sink.length
        self.first, self.table_row = place.int(scope, "out"), place.int(scope, "table_row")
        self.sums = LaneSums(sink.form, sink.combiner, section.kind.has_weights and sink.combiner != "max", block)

    def _address(self, row, place) -> Expr:
        return intrin.let(intrin.address_of(self.out, (row, place, self.first)))

    def begin(self, row, place) -> None:
        del row, place
        self.sums.begin()

    def accept(self, number, weight, row, place) -> None:
        del row, place
        self.sums.add(intrin.let(intrin.address_of_row(self.table, self.table_row + number)), weight)

    def end(self, row, place) -> None:
        self.sums.put(self._address(row, place))

    def behind(self, row, count) -> None:
        with T.serial(count, T.int64(self.length)) as place:
            self.sums.put_zeros(self._address(row, place))


@dataclass(frozen=True)
class PaddedIds:
    """The first id of each element, in columns out .. out + length of an output (rows, width) int64. Needs the int `out`."""

    length: int

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_elements(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, section, place: Place) -> ElementReader:
        """What it does with elements."""
        del section
        return _FirstIds(self.length, block, scope, place)


class _FirstIds(ElementReader):
    def __init__(self, length: int, block, scope, place: Place):
        self.length, self.out, self.first = length, place.tensor(block), place.int(scope, "out")

    def begin(self, row, place) -> None:
        del row, place
        self.found = intrin.local("int64", -1)

    def accept(self, number, weight, row, place) -> None:
        del weight, row, place
        with T.If(self.found[0] < T.int64(0)), T.Then():
            intrin.assign(self.found, number)

    def end(self, row, place) -> None:
        T.buffer_store(self.out, T.max(self.found[0], T.int64(0)), [row, self.first + place])

    def behind(self, row, count) -> None:
        with T.serial(count, T.int64(self.length)) as place:
            T.buffer_store(self.out, T.int64(0), [row, self.first + place])


@dataclass(frozen=True)
class PaddedNumbers:
    """The numbers of each element, in columns out .. out + dimension of an output (rows, length, width). Needs the int `out`."""

    length: int
    dimension: int

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out")
        out = block.buffers.extra[f"out{section.output}"]
        with T.serial(block.first, block.end) as row:
            first, end = scope.elements.bounds(row)

            def element(number, row=row, first=first) -> None:
                place = intrin.let(number - first)

                def write(k, value) -> None:
                    T.buffer_store(out, value, [row, place, scope.int("out") + k])

                section.kind.emit_numbers(scope, number, write)

            scope.elements.each(row, element)
            with T.serial(end - first, T.int64(self.length)) as place:
                lanes(self.dimension, lambda v, r=row, p=place: T.buffer_store(out, T.float32(0), [r, p, scope.int("out") + v]))


@dataclass(frozen=True)
class ElementCounts:
    """How many elements each row has, in column `out` of an int64 output."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_elements(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, section, place: Place) -> ElementReader:
        """What it does with elements."""
        del section
        return _Counts(block, scope, place)


class _Counts(ElementReader):
    reads_ids = False

    def __init__(self, block, scope, place: Place):
        self.out, self.first = place.tensor(block), place.int(scope, "out")

    def behind(self, row, count) -> None:
        T.buffer_store(self.out, count, [row, self.first])
