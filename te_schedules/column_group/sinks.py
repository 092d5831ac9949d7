"""Where the values of features go: numbers, one id, or ragged ids; pooled embedding rows are in `pool.py`."""

from __future__ import annotations

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.rows import row_ids


@dataclass(frozen=True)
class Numbers:
    """The numbers of a feature, written to columns out, out + 1, ... of a float32 output. Needs the int `out`."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out")
        target = block.buffers.extra[f"out{section.output}"]
        with T.serial(block.first, block.end) as row:
            section.kind.emit_numbers(scope, row, lambda k, value: T.buffer_store(target, value, [row, scope.int("out") + k]))


@dataclass(frozen=True)
class FirstId:
    """The first id of a row, written to column `out` of an int64 output; 0 when the row has none."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out", "limit", "default_ids_at", "default_ids_count")
        target = block.buffers.extra[f"out{section.output}"]
        with T.serial(block.first, block.end) as row:
            found = intrin.local("int64", -1)

            def keep(number, _weight, found=found) -> None:
                with T.If(found[0] < T.int64(0)), T.Then():
                    intrin.assign(found, number)

            row_ids(section, scope, row, keep)
            T.buffer_store(target, T.max(found[0], T.int64(0)), [row, scope.int("out")])


@dataclass(frozen=True)
class Count:
    """How many ids each row has, written to row `out` of `lengths` (features, rows) int32."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out", "limit", "default_ids_at", "default_ids_count")
        lengths = block.buffers.extra["lengths"]
        with T.serial(block.first, block.end) as row:
            count = intrin.local("int32", 0)
            row_ids(section, scope, row, lambda _number, _weight, count=count: intrin.assign(count, count[0] + 1))
            T.buffer_store(lengths, count[0], [scope.int("out"), row])


@dataclass(frozen=True)
class Ragged:
    """All ids (and weights) of each row, written behind `starts[out, row]` of `values` (and `weights`)."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out", "limit", "default_ids_at", "default_ids_count")
        extra = block.buffers.extra
        with T.serial(block.first, block.end) as row:
            place = intrin.local("int64", extra["starts"][scope.int("out"), row])

            def keep(number, weight, place=place) -> None:
                T.buffer_store(extra["values"], number, [place[0]])
                T.buffer_store(extra["weights"], weight, [place[0]])
                intrin.assign(place, place[0] + T.int64(1))

            row_ids(section, scope, row, keep)
