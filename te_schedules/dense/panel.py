"""Tiles of the dense layer for outputs that fill vectors: one register holds neighbouring outputs of one row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import ACTIVATIONS, CHEAP
from te_schedules.dense.layer import STACK_LIMIT, Buffers, Layer, load, registers, row_biases, store
from te_schedules.dense.prefetch import prefetch_items, prefetch_line

_FLOAT_BYTES = 4
_CACHE_BYTES = 24 << 10  # a panel up to this size stays in the L1 cache from tile to tile


@dataclass(frozen=True)
class Steps:
    """A part of K: the steps first .. first + count, both int64 expressions. What was summed before stands in `out`."""

    first: Any
    count: Any


def emit_sums(layer: Layer, buffers: Buffers, row, rows: int, panel, columns: int, steps: Steps | None = None) -> None:
    """Emit out = x W + biases for `rows` rows from `row` on and `columns` columns of a panel; of the activations only the cheap.

    With `steps`, out += x W of those steps, and no activation.
    """
    lanes, unroll = layer.tiles.lanes, min(layer.tiles.unroll, layer.depth)
    vectors = -(-columns // lanes)
    part = max(1, STACK_LIMIT // (vectors * lanes * _FLOAT_BYTES))
    is_part = steps is not None
    parts = [_Part(layer, buffers, row, first, min(part, rows - first), panel, columns, is_part) for first in range(0, rows, part)]
    begin, count = (
        (tirx.const(0, "int64"), layer.depth // unroll) if steps is None else (steps.first, T.floordiv(steps.count, unroll))
    )
    if steps is None:
        prefetch_items(layer, buffers, row, rows, panel, vectors)
    with T.serial(count) as block:
        for u in range(unroll):
            if layer.depth * vectors * lanes * _FLOAT_BYTES > _CACHE_BYTES and layer.tiles.prefetch_steps:
                _prefetch(layer, buffers, panel, begin + block * unroll + u + layer.tiles.prefetch_steps, vectors)
            for sums in parts:
                sums.step(begin + block * unroll + u)
    if layer.depth % unroll:
        if steps is None:
            _emit_rest(layer, parts, unroll)
        else:
            with T.If(steps.first + steps.count == layer.depth), T.Then():
                _emit_rest(layer, parts, unroll)
    for sums in parts:
        sums.write()


def _emit_rest(layer: Layer, parts: list[_Part], unroll: int) -> None:
    for k in range(layer.depth // unroll * unroll, layer.depth):
        for sums in parts:
            sums.step(k)


def emit_biases(layer: Layer, buffers: Buffers, first, end, panel, columns: int) -> None:
    """Emit out = biases for the rows first..end and `columns` columns of a panel."""
    with T.serial(end - first) as r:
        _Part(layer, buffers, first + r, 0, 1, panel, columns).write(is_sum=False)


def _prefetch(layer: Layer, buffers: Buffers, panel, k, vectors: int) -> None:
    """Emit a prefetch of step `k` of a panel, which may lie beyond its end: only an address is computed."""
    with T.unroll(vectors) as v:
        prefetch_line(buffers.packed[panel, k, v * layer.tiles.lanes])


class _Part:
    """Some rows of a tile, in one buffer of registers."""

    def __init__(self, layer: Layer, buffers: Buffers, row, first: int, rows: int, panel, columns: int, is_part: bool = False):
        self.layer, self.buffers, self.panel, self.columns, self.is_part = layer, buffers, panel, columns, is_part
        self.row, self.rows, self.lanes = row + first, rows, layer.tiles.lanes
        self.vectors = -(-columns // self.lanes)
        self.sums = registers(rows * self.vectors, self.lanes)
        with T.unroll(self.rows) as r:
            extra = [] if is_part else row_biases(buffers, self.row + r)
            self._each_vector(lambda v, count: self._start(r, v, count, extra))

    def _each_vector(self, emit) -> None:
        whole = self.columns // self.lanes
        if whole:
            with T.unroll(whole) as v:
                emit(v, self.lanes)
        if self.columns % self.lanes:
            emit(whole, self.columns % self.lanes)

    def _register(self, r, v):
        return T.ramp((r * self.vectors + v) * self.lanes, 1, self.lanes)

    def _column(self, v):
        return self.panel * self.layer.width + v * self.lanes

    def _start(self, r, v, count: int, extra) -> None:
        if self.is_part:
            value = load(self.buffers.out, [self.row + r], self._column(v), self.lanes, count)
        else:
            value = load(self.buffers.bias, [], self._column(v), self.lanes, count)
        for bias, index in extra:
            value = value + load(bias, [index], self._column(v), self.lanes, count)
        T.buffer_store(self.sums, value, [self._register(r, v)])

    def step(self, k) -> None:
        """sums[r, v] += x[row + r, k] * packed[panel, k, v]"""
        with T.unroll(self.rows) as r, T.unroll(self.vectors) as v:
            x = T.broadcast(self.buffers.x[self.row + r, k], self.lanes)
            weight = self.buffers.packed[self.panel, k, T.ramp(v * self.lanes, 1, self.lanes)]
            T.buffer_store(self.sums, self.sums[self._register(r, v)] + x * weight, [self._register(r, v)])

    def write(self, *, is_sum: bool = True) -> None:
        """out = sums, or a cheap activation of whole ones."""
        name = self.layer.activation if is_sum and not self.is_part and self.layer.activation in CHEAP else "none"

        def write(r, v, count: int) -> None:
            value = ACTIVATIONS[name](self.sums[self._register(r, v)], self.lanes)
            store(self.buffers.out, value, [self.row + r], self._column(v), self.lanes, count)

        with T.unroll(self.rows) as r:
            self._each_vector(lambda v, count: write(r, v, count))


def emit_activation(layer: Layer, buffers: Buffers, first, end, panel, columns: int, *, is_applied: bool = True) -> None:
    """Emit out = activation(out) for the rows first..end and `columns` columns of a panel, just written; nothing if it is cheap and
    was applied as they were written."""
    if layer.activation == "none" or (is_applied and layer.activation in CHEAP):
        return
    lanes = layer.tiles.lanes
    with T.serial(end - first) as r:

        def apply(v, count):
            column = panel * layer.width + v * lanes
            value = ACTIVATIONS[layer.activation](load(buffers.out, [first + r], column, lanes, count), lanes)
            store(buffers.out, value, [first + r], column, lanes, count)

        if columns >= lanes:
            with T.serial(columns // lanes) as v:
                apply(v, lanes)
        if columns % lanes:
            apply(columns // lanes, columns % lanes)
