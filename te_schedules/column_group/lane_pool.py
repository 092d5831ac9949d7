"""Embedding lookup on a GPU: neighbouring threads share a row, and each has some of its numbers in registers.

    lanes = 4, dim = 32        thread   0         1         2         3         0           1 ...
                               numbers  [0 .. 3]  [4 .. 7]  [8 .. 11] [12 .. 15] [16 .. 19]  ...

All lanes of a row make its ids, each for itself: they read the same bytes at the same time, so nothing has to be told to others and no
thread waits. A piece of numbers is one read of up to 16 bytes, side by side those of all lanes are the row. Sums are in the order of the
ids, as on CPUs.
"""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.rows import IdReader, Place
from te_schedules.column_group.table_format import TableFormat, TableRow

Expr = Any


class LaneSums:
    """The numbers of one row of a column that a lane has, pooled."""

    def __init__(self, form: TableFormat, combiner: str, weighted: bool, block):
        self.form, self.combiner, self.weighted = form, combiner, weighted
        self.lane, self.lanes = T.cast(block.lane, "int32"), block.lanes
        self.count = -(-form.pieces // block.lanes) * form.piece

    def begin(self) -> None:
        """Emit an empty sum."""
        self.sums = intrin.array(self.count, "float32")
        self.total = intrin.local("float32", 0.0)
        initial = tirx.const(-math.inf if self.combiner == "max" else 0.0, "float32")
        self._call(f"rank_fill<{self.count}>", initial)

    def add(self, entry, weight) -> None:
        """Emit the sum with the table row at an address."""
        row = TableRow(self.form.precision, entry)
        share = row.times(weight if self.weighted else None, 1)
        is_max = "true" if self.combiner == "max" else "false"
        name = f"rank_add_row<rank_{self.form.precision}, {self.form.piece}, {self.lanes}, {self.form.dim}, {is_max}>"
        self._call(name, entry, self.lane, T.float32(1) if share is None else share, T.int32(0) if row.zero is None else row.zero)
        one = weight if self.weighted else T.float32(1)
        intrin.assign(self.total, self.total[0] + (one * one if self.combiner == "sqrtn" else one))

    def put(self, out) -> None:
        """Emit the store at an address of the output; zeros when nothing was added."""
        total = intrin.let(self.total[0])
        if self.combiner == "sum":
            divisor = T.float32(1)
        elif self.combiner == "max":
            divisor = T.Select(total == T.float32(0), T.float32(0), T.float32(1))
        else:
            divisor = T.sqrt(total) if self.combiner == "sqrtn" else total
        self._put(out, divisor)

    def put_zeros(self, out) -> None:
        """Emit zeros at an address of the output."""
        self.sums = intrin.array(self.count, "float32")
        self._call(f"rank_fill<{self.count}>", T.float32(0))
        self._put(out, T.float32(1))

    def _put(self, out, divisor) -> None:
        self._call(f"rank_put_row<{self.form.piece}, {self.lanes}, {self.form.dim}>", out, self.lane, divisor)

    def _call(self, name: str, *arguments: Expr) -> None:
        T.evaluate(T.call_extern("void", name, T.address_of(self.sums[0]), *arguments))


class LaneRows(IdReader):
    """The ids of a row pooled, by the lanes of a block."""

    def __init__(self, pool, block, scope, section, place: Place):
        self.first, self.table_row = place.int(scope, "out"), place.int(scope, "table_row")
        self.out, self.table = place.tensor(block), block.buffers.extra[pool.stack]
        weighted = section.kind.has_weights and pool.combiner != "max"
        self.sums = LaneSums(pool.form, pool.combiner, weighted, block)

    def begin(self, row) -> None:
        del row
        self.sums.begin()

    def accept(self, number, weight, row) -> None:
        del row
        self.sums.add(intrin.let(intrin.address_of_row(self.table, self.table_row + number)), weight)

    def end(self, row) -> None:
        self.sums.put(intrin.let(intrin.address_of(self.out, (row, self.first))))
