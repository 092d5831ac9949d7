"""Where the values of features go: pooled embedding rows, numbers, one id, or ragged ids."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

LANES = 16  # float32 in the widest vector of any CPU target; LLVM splits it where vectors are narrower
COMBINERS = ("sum", "mean", "sqrtn", "max")


def row_ids(section, scope, row, accept: Callable) -> None:
    """Emit `accept(id, weight)` for the ids that a row keeps: at most `limit`, or the defaults when the row gives none."""
    count, limit = intrin.local("int64", 0), scope.int("limit")

    def keep(number, weight) -> None:
        with T.If(count[0] < limit), T.Then():
            accept(number, weight)
        intrin.assign(count, count[0] + T.int64(1))

    section.kind.emit_ids(scope, row, keep)
    with T.If(count[0] == T.int64(0)), T.Then(), T.serial(scope.int("default_ids_count")) as k:
        accept(intrin.let(scope.int_at(scope.int("default_ids_at") + k)), T.float32(1))


def lanes(width: int, body: Callable) -> None:
    """Emit `body(position)` for positions 0 .. width - 1 in vectors of at most LANES."""
    whole, rest = divmod(width, LANES)
    if whole:
        with T.serial(T.int64(whole)) as chunk, T.vectorized(T.int64(LANES)) as lane:
            body(chunk * T.int64(LANES) + lane)
    if rest:
        with T.vectorized(T.int64(rest)) as lane:
            body(T.int64(whole * LANES) + lane)


@dataclass(frozen=True)
class Pool:
    """The embedding rows of a row's ids, pooled into columns out .. out + dim of an output.

    Needs the ints `out` and `table_row` (first row of the feature's table in the stack). Ids wait in a queue while their table rows
    are fetched; their owners' output rows are the accumulators.

        sum   sum(w * e)        mean   sum(w * e) / sum(w)        sqrtn   sum(w * e) / sqrt(sum(w * w))        max   max(e)

    A row without ids, or whose divisor is 0, gives zeros. w is 1 for features without weights; max does not look at weights.
    """

    combiner: str
    dim: int
    stack: str  # the name of the stacked table's buffer

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out", "table_row", "limit", "default_ids_at", "default_ids_count")
        queue = _Queue(self, block, scope, section)
        with T.serial(block.first, block.end) as row:
            lanes(self.dim, lambda v: T.buffer_store(queue.out, queue.initial, [row, scope.int("out") + v]))
            T.buffer_store(queue.totals, T.float32(0), [row - block.first])
        with T.serial(block.first, block.end) as row:
            row_ids(section, scope, row, lambda number, weight: queue.push(number, weight, row))
        queue.flush()
        queue.finish()


class _Queue:
    """Ids that wait for their table rows, inside one column and block."""

    def __init__(self, pool: Pool, block, scope, section):
        self.pool, self.block, self.scope = pool, block, scope
        self.weighted = section.kind.has_weights and pool.combiner != "max"
        self.out = block.buffers.extra[f"out{section.output}"]
        self.table = block.buffers.extra[pool.stack]
        size = block.knobs.queue_ids
        self.rows = intrin.array(size, "int64")
        self.owners = intrin.array(size, "int64")
        self.weights: Any = intrin.array(size, "float32") if self.weighted else None
        self.totals = intrin.array(block.knobs.block_rows, "float32")
        self.length = intrin.local("int64", 0)
        self.initial = tirx.const(-math.inf if pool.combiner == "max" else 0.0, "float32")

    def push(self, number, weight, owner) -> None:
        at, row = self.length, intrin.let(self.scope.int("table_row") + number)
        with T.If(at[0] == T.int64(self.block.knobs.queue_ids)), T.Then():
            self.flush()
        if self.block.knobs.prefetch:
            intrin.prefetch(intrin.address_of_row(self.table, row))
        T.buffer_store(self.rows, row, [at[0]])
        T.buffer_store(self.owners, owner, [at[0]])
        if self.weighted:
            T.buffer_store(self.weights, weight, [at[0]])
        intrin.assign(self.length, at[0] + T.int64(1))

    def flush(self) -> None:
        """Add the queued table rows to their owners."""
        with T.serial(self.length[0]) as k:
            row, owner = intrin.let(self.rows[k]), intrin.let(self.owners[k])
            weight = intrin.let(self.weights[k]) if self.weighted else None
            lanes(self.pool.dim, lambda v: self._add(row, owner, weight, v))
            share = T.float32(1) if weight is None else weight * weight if self.pool.combiner == "sqrtn" else weight
            place = intrin.let(owner - self.block.first)
            T.buffer_store(self.totals, self.totals[place] + share, [place])
        intrin.assign(self.length, T.int64(0))

    def _add(self, row, owner, weight, v) -> None:
        at = [owner, self.scope.int("out") + v]
        value = self.table[row, v] if weight is None else self.table[row, v] * weight
        before = self.out[at[0], at[1]]
        T.buffer_store(self.out, T.max(before, value) if self.pool.combiner == "max" else before + value, at)

    def finish(self) -> None:
        """Divide, and turn rows without ids into zeros."""
        if self.pool.combiner == "sum":
            return
        with T.serial(self.block.first, self.block.end) as row:
            total = intrin.let(self.totals[row - self.block.first])
            divisor = intrin.let(T.sqrt(total) if self.pool.combiner == "sqrtn" else total)
            with T.If(total == T.float32(0)):
                with T.Then():
                    lanes(self.pool.dim, lambda v: T.buffer_store(self.out, T.float32(0), [row, self.scope.int("out") + v]))
                with T.Else():
                    if self.pool.combiner != "max":
                        self._divide(row, divisor)

    def _divide(self, row, divisor) -> None:
        def one(v) -> None:
            at = [row, self.scope.int("out") + v]
            T.buffer_store(self.out, self.out[at[0], at[1]] / divisor, at)

        with T.If(divisor != T.float32(1)), T.Then():
            lanes(self.pool.dim, one)


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
