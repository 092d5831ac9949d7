"""Lookups as a model has them that holds its own tables and reads ids: where there is no id, the id is 0.

    FirstRow        ids of a row        [7 2]  []        -> row 7, row 0
    FilledPool      ids of a row, L = 3 [7 2]  []        -> rows 7, 2, 0 pooled, row 0 three times
    FirstElements   ids of elements     [7] [2] and none -> row 7, row 2, row 0 behind the last element

`Pool` and `PaddedEmbeddings` give zeros in these places, which row 0 of a table need not be.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.padded import ElementReader, PaddedEmbeddings, read_elements
from te_schedules.column_group.pool import Pool
from te_schedules.column_group.rows import IdReader, Place, read_ids
from te_schedules.column_group.table_format import TableFormat

NO_ID = -1


@dataclass(frozen=True)
class FirstRow:
    """The table row of the first id of a row. `pool` is a sum, of this one row."""

    pool: Pool

    @property
    def form(self) -> TableFormat:
        """Of the rows that are read."""
        return self.pool.form

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_ids(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, section, place: Place) -> IdReader:
        """What it does with ids."""
        return _First(self.pool.reader(block, scope, section, place))


class _First(IdReader):
    def __init__(self, inner: IdReader):
        self.inner = inner

    def begin(self, row) -> None:
        self.inner.begin(row)
        self.found = intrin.local("int64", NO_ID)

    def accept(self, number, weight, row) -> None:
        del weight, row
        with T.If(self.found[0] == T.int64(NO_ID)), T.Then():
            intrin.assign(self.found, number)

    def end(self, row) -> None:
        self.inner.accept(intrin.let(T.max(self.found[0], T.int64(0))), T.float32(1), row)
        self.inner.end(row)

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True)
class FilledPool:
    """The table rows of `length` ids pooled: those of a row, which has no more, and 0 for those that it lacks."""

    pool: Pool
    length: int

    @property
    def form(self) -> TableFormat:
        """Of the rows that are read."""
        return self.pool.form

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_ids(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, section, place: Place) -> IdReader:
        """What it does with ids."""
        return _Filled(self.pool.reader(block, scope, section, place), self.length)


class _Filled(IdReader):
    def __init__(self, inner: IdReader, length: int):
        self.inner, self.length = inner, length

    def begin(self, row) -> None:
        self.inner.begin(row)
        self.count = intrin.local("int64", 0)

    def accept(self, number, weight, row) -> None:
        self.inner.accept(number, weight, row)
        intrin.assign(self.count, self.count[0] + T.int64(1))

    def end(self, row) -> None:
        with T.serial(self.count[0], T.int64(self.length)):
            self.inner.accept(T.int64(0), T.float32(1), row)
        self.inner.end(row)

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True)
class FirstElements:
    """The table row of the first id of each element, and row 0 behind the last one. `sink` sums, of one row each."""

    sink: PaddedEmbeddings

    @property
    def form(self) -> TableFormat:
        """Of the rows that are read."""
        return self.sink.form

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_elements(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, section, place: Place) -> ElementReader:
        """What it does with elements."""
        return _FirstOfElement(self.sink.reader(block, scope, section, place), self.sink.length)


class _FirstOfElement(ElementReader):
    def __init__(self, inner: ElementReader, length: int):
        self.inner, self.length = inner, length

    def begin(self, row, place) -> None:
        self.inner.begin(row, place)
        self.found = intrin.local("int64", NO_ID)

    def accept(self, number, weight, row, place) -> None:
        del weight, row, place
        with T.If(self.found[0] == T.int64(NO_ID)), T.Then():
            intrin.assign(self.found, number)

    def end(self, row, place) -> None:
        self.inner.accept(intrin.let(T.max(self.found[0], T.int64(0))), T.float32(1), row, place)
        self.inner.end(row, place)

    def behind(self, row, count) -> None:
        with T.serial(count, T.int64(self.length)) as place:
            self.inner.begin(row, place)
            self.inner.accept(T.int64(0), T.float32(1), row, place)
            self.inner.end(row, place)
