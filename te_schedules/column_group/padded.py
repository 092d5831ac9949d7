"""Where the elements of sequences go that the dense model reads: rows of a fixed length, zeros behind the last element.

The column keeps at most `length` elements of a row, so that no element lies beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.rows import kept_ids, lanes

Expr = Any


def _each_place(
    block, scope, length: int, element: Callable[[Expr, Expr, Expr], None], behind: Callable[[Expr, Expr], None]
) -> None:
    """Emit `element(row, place, element)` for the elements of each row, then `behind(row, place)` for the places that are left."""
    with T.serial(block.first, block.end) as row:
        first, end = scope.elements.bounds(row)
        scope.elements.each(row, lambda number: element(row, intrin.let(number - first), number))
        with T.serial(end - first, T.int64(length)) as place:
            behind(row, place)


@dataclass(frozen=True)
class PaddedEmbeddings:
    """The ids of each element pooled, in columns out .. out + dim of an output (rows, length, width). Ints: `out`, `table_row`."""

    combiner: str
    dim: int
    stack: str
    length: int

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out", "table_row", "limit", "default_ids_at", "default_ids_count")
        out, table = block.buffers.extra[f"out{section.output}"], block.buffers.extra[self.stack]
        weighted = section.kind.has_weights and self.combiner != "max"
        initial = tirx.const(-math.inf if self.combiner == "max" else 0.0, "float32")

        def put(row, place, value: Callable[[Expr], Expr]) -> None:
            lanes(self.dim, lambda v: T.buffer_store(out, value(v), [row, place, scope.int("out") + v]))

        def element(row, place, number) -> None:
            total = intrin.local("float32", 0.0)
            put(row, place, lambda _v: initial)

            def add(identity, weight) -> None:
                entry = intrin.let(scope.int("table_row") + identity)
                share = weight if weighted else T.float32(1)

                def sum_of(v):
                    before, value = out[row, place, scope.int("out") + v], table[entry, v]
                    return T.max(before, value) if self.combiner == "max" else before + (value * share if weighted else value)

                put(row, place, sum_of)
                intrin.assign(total, total[0] + (share * share if self.combiner == "sqrtn" else share))

            kept_ids(section, scope, number, add)
            if self.combiner != "sum":
                self._finish(intrin.let(total[0]), lambda value: put(row, place, value), out, row, place, scope)

        _each_place(block, scope, self.length, element, lambda row, place: put(row, place, lambda _v: T.float32(0)))

    def _finish(self, total, put: Callable, out, row, place, scope) -> None:
        divisor = intrin.let(T.sqrt(total) if self.combiner == "sqrtn" else total)
        with T.If(total == T.float32(0)):
            with T.Then():
                put(lambda _v: T.float32(0))
            with T.Else():
                if self.combiner != "max":
                    put(lambda v: out[row, place, scope.int("out") + v] / divisor)


@dataclass(frozen=True)
class PaddedIds:
    """The first id of each element, in columns out .. out + length of an output (rows, width) int64. Needs the int `out`."""

    length: int

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out", "limit", "default_ids_at", "default_ids_count")
        out = block.buffers.extra[f"out{section.output}"]

        def element(row, place, number) -> None:
            found = intrin.local("int64", -1)

            def keep(identity, _weight) -> None:
                with T.If(found[0] < T.int64(0)), T.Then():
                    intrin.assign(found, identity)

            kept_ids(section, scope, number, keep)
            T.buffer_store(out, T.max(found[0], T.int64(0)), [row, scope.int("out") + place])

        def behind(row, place) -> None:
            T.buffer_store(out, T.int64(0), [row, scope.int("out") + place])

        _each_place(block, scope, self.length, element, behind)


@dataclass(frozen=True)
class PaddedNumbers:
    """The numbers of each element, in columns out .. out + dimension of an output (rows, length, width). Needs the int `out`."""

    length: int
    dimension: int

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out")
        out = block.buffers.extra[f"out{section.output}"]

        def element(row, place, number) -> None:
            section.kind.emit_numbers(
                scope, number, lambda k, value: T.buffer_store(out, value, [row, place, scope.int("out") + k])
            )

        def behind(row, place) -> None:
            lanes(self.dimension, lambda v: T.buffer_store(out, T.float32(0), [row, place, scope.int("out") + v]))

        _each_place(block, scope, self.length, element, behind)


@dataclass(frozen=True)
class ElementCounts:
    """How many elements each row has, in column `out` of an int64 output."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out")
        out = block.buffers.extra[f"out{section.output}"]
        with T.serial(block.first, block.end) as row:
            first, end = scope.elements.bounds(row)
            T.buffer_store(out, end - first, [row, scope.int("out")])
