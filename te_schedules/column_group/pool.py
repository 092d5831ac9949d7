"""Embedding lookup: the table rows of a feature's ids, pooled and written where the dense model reads them.

    for row in block:             ids of the row -> queue
    for id in queue:              its table row is asked for (prefetch)
    for run of one row in queue:  sum of its table rows in registers, divided, stored once

A prefetch of an address that misses the TLB holds up what comes behind it until the translation is found, so a hash between two of them
is waited for with the first; side by side as many translations are under way as the processor can do (docs/decisions.md).
Ids enter in the order of their rows, so those of one row lie side by side in the queue. A row whose ids do not fit goes through the
output: the part that was queued is stored undivided, and the next part begins with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.lane_pool import LaneRows
from te_schedules.column_group.rows import IdReader, Place, lanes, read_ids
from te_schedules.column_group.table_format import Span, TableFormat, TableRow, span_of

NOBODY = -1


@dataclass(frozen=True)
class Pool:
    """The embedding rows of a row's ids, pooled into columns out .. out + dim of an output.

    Needs the ints `out` and `table_row` (first row of the feature's table in the stack).

        sum   sum(w * e)        mean   sum(w * e) / sum(w)        sqrtn   sum(w * e) / sqrt(sum(w * w))        max   max(e)

    A row without ids, or whose divisor is 0, gives zeros. w is 1 for features without weights; max does not look at weights.
    """

    combiner: str
    stack: str  # the name of the stacked table's buffer
    form: TableFormat  # of the stack's rows

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_ids(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, section, place: Place) -> IdReader:
        """What it does with ids."""
        if block.lane is not None:
            return LaneRows(self, block, scope, section, place)
        return _Queue(self, block, scope, section, place)


class _Queue(IdReader):
    """Ids that wait for their table rows, inside one column and block."""

    def __init__(self, pool: Pool, block, scope, section, place: Place):
        self.pool, self.block = pool, block
        self.first, self.table_row = place.int(scope, "out"), place.int(scope, "table_row")
        self.weighted = section.kind.has_weights and pool.combiner != "max"
        self.out = place.tensor(block)
        self.table = block.buffers.extra[pool.stack]
        size = block.knobs.queue_ids
        self.rows = intrin.array(size, "int64")  # addresses
        self.owners = intrin.array(size, "int64")
        self.weights: Any = intrin.array(size, "float32") if self.weighted else None
        self.length = intrin.local("int64", 0)
        # the row that is stored undivided because more of its ids may come, and the total of its weights
        self.open_row = intrin.local("int64", NOBODY)
        self.open_total = intrin.local("float32", 0.0)

    def write(self, row, v, value) -> None:
        """Emit the store of element `v` of a row's embedding."""
        T.buffer_store(self.out, value, [row, self.first + v])

    def accept(self, number, weight, row) -> None:
        """Emit the entry of an id."""
        at, entry = self.length, intrin.let(intrin.address_of_row(self.table, self.table_row + number))
        with T.If(at[0] == T.int64(self.block.knobs.queue_ids)), T.Then():
            self.flush(is_last=False)
        T.buffer_store(self.rows, entry, [at[0]])
        T.buffer_store(self.owners, row, [at[0]])
        if self.weighted:
            T.buffer_store(self.weights, weight, [at[0]])
        intrin.assign(self.length, at[0] + T.int64(1))

    def nothing(self, row) -> None:
        """Emit the zeros of a row without ids."""
        lanes(self.pool.form.dim, lambda v: self.write(row, v, T.float32(0)))

    def close(self) -> None:
        """Emit the pooling of what is left."""
        self.flush(is_last=True)

    def flush(self, *, is_last: bool) -> None:
        """Emit the pooling of all queued ids; unless `is_last`, the row of the last one stays open."""
        first = intrin.local("int64", 0)
        if self.block.knobs.prefetch:
            with T.serial(self.length[0]) as k:
                entry = intrin.let(self.rows[k])
                for line in self.pool.form.lines():
                    intrin.prefetch(entry + T.int64(line))
        with T.If(T.And(self.open_row[0] != T.int64(NOBODY), self.open_row[0] != self.owners[0])), T.Then():
            self._close_row()
        with T.While(first[0] < self.length[0]):
            begin = intrin.let(first[0])
            owner = intrin.let(self.owners[begin])
            end = intrin.local("int64", begin + T.int64(1))
            with T.While(T.if_then_else(end[0] < self.length[0], self.owners[end[0]] == owner, T.bool(False))):
                intrin.assign(end, end[0] + T.int64(1))
            self._pool_run(owner, begin, intrin.let(end[0]), is_last)
            intrin.assign(first, end[0])
        intrin.assign(self.length, T.int64(0))

    def _pool_run(self, owner, begin, end, is_last: bool) -> None:
        """Emit the pooling of the queued ids [begin, end) of one row."""
        is_open = intrin.let(T.cast(owner == self.open_row[0], "int32")) != T.int32(0)
        total = self._total(begin, end)
        with T.If(is_open), T.Then():
            intrin.assign(total, total[0] + self.open_total[0])
        stays = T.bool(False) if is_last else end == self.length[0]
        divisor = intrin.let(T.if_then_else(stays, T.float32(1), self._divisor(total[0])))
        for span in self.pool.form.spans():
            with T.serial(T.int64(span.times)) as chunk:
                self._pool_lanes(owner, begin, end, is_open, divisor, T.int64(span.first) + chunk * T.int64(span.count), span)
        intrin.assign(self.open_row, T.if_then_else(stays, owner, T.int64(NOBODY)))
        intrin.assign(self.open_total, total[0])

    def _pool_lanes(self, owner, begin, end, is_open, divisor, at, span: Span) -> None:
        """Emit the pooling of the numbers of a span, which begins at number `at` of the rows."""
        is_max = self.pool.combiner == "max"
        pooled = T.alloc_buffer((span.lanes,), "float32", scope=intrin.local_scope())
        start = tirx.const(-math.inf if is_max else 0.0, "float32")
        with T.vectorized(T.int64(span.lanes)) as v:
            T.buffer_store(pooled, start, [v])
        with T.If(is_open), T.Then(), T.vectorized(T.int64(span.count)) as v:
            T.buffer_store(pooled, self.out[owner, self.first + at + v], [v])
        every = span_of(T.int64(0), span.lanes)
        with self.pool.form.imports(span.lanes), T.serial(begin, end) as k:
            row = TableRow(self.pool.form.precision, intrin.let(self.rows[k]))
            share = row.times(intrin.let(self.weights[k]) if self.weighted else None, span.lanes)
            value = row.lanes(at, span.lanes) if share is None else row.lanes(at, span.lanes) * share
            T.buffer_store(pooled, T.max(pooled[every], value) if is_max else pooled[every] + value, [every])
        self._store(owner, divisor, at, span.count, pooled)

    def _store(self, owner, divisor, at, width: int, pooled) -> None:
        """Emit the division, which rows of one id do without, and the store."""

        def store(value) -> None:
            with T.vectorized(T.int64(width)) as v:
                self.write(owner, at + v, value(v))

        if self.pool.combiner in ("sum", "max"):
            store(lambda v: pooled[v])
            return
        with T.If(divisor == T.float32(1)):
            with T.Then():
                store(lambda v: pooled[v])
            with T.Else(), T.If(divisor == T.float32(0)):
                with T.Then():
                    store(lambda _v: T.float32(0))
                with T.Else():
                    store(lambda v: pooled[v] / divisor)

    def _close_row(self) -> None:
        """Emit the division of the open row, which has no further ids."""
        owner, divisor = intrin.let(self.open_row[0]), intrin.let(self._divisor(self.open_total[0]))

        def divided(v):
            value = self.out[owner, self.first + v]
            return T.if_then_else(divisor == T.float32(0), T.float32(0), value / divisor)

        lanes(self.pool.form.dim, lambda v: self.write(owner, v, divided(v)))

    def _total(self, begin, end):
        """The sum of the weights of the queued ids [begin, end), or of their squares; a mutable local."""
        if not self.weighted:
            return intrin.local("float32", T.cast(end - begin, "float32"))
        total = intrin.local("float32", 0.0)
        with T.serial(begin, end) as k:
            weight = intrin.let(self.weights[k])
            share = weight * weight if self.pool.combiner == "sqrtn" else weight
            intrin.assign(total, total[0] + share)
        return total

    def _divisor(self, total):
        if self.pool.combiner in ("sum", "max"):
            return T.float32(1)
        return T.sqrt(total) if self.pool.combiner == "sqrtn" else total


__all__ = ["Pool"]
