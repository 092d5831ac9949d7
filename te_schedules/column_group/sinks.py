"""Where the values of features go: numbers, or one id; pooled embedding rows are in `pool.py`, ragged ids in `collect.py`."""

from __future__ import annotations

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.rows import IdReader, Place, read_ids
from te_schedules.feature.kind import NumberRows


@dataclass(frozen=True)
class Numbers:
    """The numbers of a feature, written to columns out, out + 1, ... of a float32 output. Needs the int `out`."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out")
        target = block.buffers.extra[f"out{section.output}"]
        out = NumberRows(
            put=lambda row, k, value: T.buffer_store(target, value, [row, scope.int("out") + k]),
            address=lambda row: intrin.let(intrin.address_of_row(target, row) + scope.int("out") * T.int64(4)),
            stride=T.int64(int(target.shape[1])),
        )
        section.kind.emit_number_rows(scope, block.first, block.end, out)


@dataclass(frozen=True)
class NumberColumns:
    """The numbers of a feature by themselves: those of row r, `width` of them, behind place out * rows + r * width of the float32 output
    (all widths, rows). Needs the ints `out` and `width`."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out", "width")
        target = block.buffers.extra[f"out{section.output}"]
        begin = intrin.let(intrin.address_of_row(target, scope.int("out")))

        def address(row):
            return intrin.let(begin + row * scope.int("width") * T.int64(4))

        out = NumberRows(
            put=lambda row, k, value: intrin.store("float32", address(row) + k * T.int64(4), value),
            address=address,
            stride=scope.int("width"),
        )
        section.kind.emit_number_rows(scope, block.first, block.end, out)


@dataclass(frozen=True)
class FirstId:
    """The first id of a row, written to column `out` of an int64 output; 0 when the row has none."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_ids(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, section, place: Place) -> IdReader:
        """What it does with ids."""
        del section
        return _First(block, scope, place)


class _First(IdReader):
    def __init__(self, block, scope, place: Place):
        self.scope, self.place, self.target = scope, place, place.tensor(block)
        place.int(scope, "out")

    def begin(self, row) -> None:
        del row
        self.found = intrin.local("int64", -1)

    def accept(self, number, weight, row) -> None:
        del weight, row
        with T.If(self.found[0] < T.int64(0)), T.Then():
            intrin.assign(self.found, number)

    def end(self, row) -> None:
        T.buffer_store(self.target, T.max(self.found[0], T.int64(0)), [row, self.place.int(self.scope, "out")])
