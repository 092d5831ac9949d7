"""Where the values of features go: numbers, or one id; pooled embedding rows are in `pool.py`, ragged ids in `collect.py`."""

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
