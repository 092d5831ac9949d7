"""Tiles of a dense layer below fp32: the sums of a tile stay in registers for all of K, one word of x at a time."""

from __future__ import annotations

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import ACTIVATIONS, CHEAP, splat
from te_schedules.dense.layer import STACK_LIMIT, Buffers, Layer, load, registers, row_biases, store
from te_schedules.dense.prefetch import prefetch_items, prefetch_line
from te_schedules.dense.reduced.products import PRODUCTS, add_products

_WORD_BYTES = 4
_CACHE_BYTES = 24 << 10  # a panel up to this size stays in the L1 cache from tile to tile


def emit_sums(layer: Layer, buffers: Buffers, row, rows: int, panel, columns: int) -> None:
    """Emit out = activation(x W + biases) for `rows` rows from `row` on and `columns` columns of a panel; only a cheap activation."""
    lanes, words = layer.tiles.lanes, layer.words
    vectors, unroll = -(-columns // lanes), min(layer.tiles.unroll, words)
    part = max(1, STACK_LIMIT // (vectors * lanes * _WORD_BYTES))
    prefetch_items(layer, buffers, row, rows, panel, vectors)
    parts = [_Part(layer, buffers, row, first, min(part, rows - first), panel, columns) for first in range(0, rows, part)]
    with T.serial(tirx.const(words // unroll, "int64")) as block:
        for u in range(unroll):
            if words * vectors * lanes * _WORD_BYTES > _CACHE_BYTES and layer.tiles.prefetch_steps:
                _prefetch(layer, buffers, panel, block * unroll + u + layer.tiles.prefetch_steps, vectors)
            for sums in parts:
                sums.step(block * unroll + u)
    for k in range(words // unroll * unroll, words):
        for sums in parts:
            sums.step(k)
    for sums in parts:
        sums.write()


def _prefetch(layer: Layer, buffers: Buffers, panel, word, vectors: int) -> None:
    """Emit a prefetch of a word's weights, which may lie beyond the end of the panel: only an address is computed."""
    per_word = _WORD_BYTES if layer.precision == "int8" else 1
    with T.unroll(vectors) as v:
        prefetch_line(buffers.packed[panel, word, v * (layer.tiles.lanes * per_word)])


class _Part:
    """Some rows of a tile, in one buffer of registers: int32 sums of int8, float32 sums of bf16."""

    def __init__(self, layer: Layer, buffers: Buffers, row, first: int, rows: int, panel, columns: int):
        self.layer, self.buffers, self.panel, self.columns = layer, buffers, panel, columns
        self.row, self.rows, self.lanes = row + first, rows, layer.tiles.lanes
        self.vectors, self.is_int8 = -(-columns // self.lanes), layer.precision == "int8"
        self.dtype = "int32" if self.is_int8 else "float32"
        self.sums = registers(rows * self.vectors, self.lanes, self.dtype)
        with T.unroll(self.rows * self.vectors) as r:
            T.buffer_store(self.sums, splat(0, self.lanes, self.dtype), [T.ramp(r * self.lanes, 1, self.lanes)])

    def _register(self, r, v):
        return T.ramp((r * self.vectors + v) * self.lanes, 1, self.lanes)

    def step(self, word) -> None:
        """sums[r, v] += the products of a word of each row with its weights"""
        with T.unroll(self.rows) as r, T.unroll(self.vectors) as v:
            x = self.buffers.x[self.row + r, word]
            sums = self.sums[self._register(r, v)]
            value = add_products(
                self.layer.products, sums, x, lambda first, count, v=v: self._weights(word, v, first, count), self.lanes
            )
            T.buffer_store(self.sums, value, [self._register(r, v)])

    def _weights(self, word, v, first: int, count: int):
        """`count` elements of a word's weights from the `first` on, of register `v`."""
        if not self.is_int8:
            return self.buffers.packed[self.panel, word, T.ramp(v * self.lanes + first, 1, count)]
        if PRODUCTS[self.layer.products].interleaved:
            return self.buffers.packed[self.panel, word, T.ramp(v * (4 * self.lanes) + first, 1, count)]
        plane = self.layer.width * (first // self.lanes)
        return self.buffers.packed[self.panel, word, T.ramp(plane + v * self.lanes, 1, count)]

    def write(self) -> None:
        """out = sums in float32, with biases and a cheap activation"""
        with T.unroll(self.rows) as r:
            row = self.row + r
            extra = row_biases(self.buffers, row)

            def write(v, count: int) -> None:
                column = self.panel * self.layer.width + v * self.lanes
                write_sums(self.layer, self.buffers, self.sums[self._register(r, v)], row, column, count, extra)

            whole = self.columns // self.lanes
            if whole:
                with T.unroll(whole) as v:
                    write(v, self.lanes)
            if self.columns % self.lanes:
                write(whole, self.columns % self.lanes)


def write_sums(layer: Layer, buffers: Buffers, sums, row, column, count: int, extra) -> None:
    """Emit out[row, column and on] = sums in float32, with biases and a cheap activation. sums: a register, of which `count` columns are
    there · extra: the `row_biases` of the row."""
    lanes, name = layer.tiles.lanes, layer.activation if layer.activation in CHEAP else "none"
    value = _number(layer, buffers, sums, row, column, count) + load(buffers.bias, [], column, lanes, count)
    for bias, index in extra:
        value = value + load(bias, [index], column, lanes, count)
    store(buffers.out, ACTIVATIONS[name](value, lanes), [row], column, lanes, count)


def _number(layer: Layer, buffers: Buffers, sums, row, column, count: int):
    """The sums of a register in float32; those of int8 without what the zero of x brought, in the units of x and of W."""
    if layer.precision != "int8":
        return sums
    lanes = layer.tiles.lanes
    zero = T.broadcast(T.cast(buffers.levels[row, 1], "int32"), lanes)
    totals = load(buffers.totals, [], column, lanes, count, "int32")
    scale = T.broadcast(buffers.levels[row, 0], lanes) * load(buffers.factors, [], column, lanes, count)
    return T.cast(sums - zero * totals, f"float32x{lanes}") * scale
