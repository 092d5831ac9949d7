"""Tiles of the dense layer for a few outputs: one register holds neighbouring steps of K of one sum, added up at the end."""

from __future__ import annotations

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import ACTIVATIONS
from te_schedules.dense.layer import DOT_COLUMNS, Buffers, Layer, load, registers, row_biases, store


def emit_rows(layer: Layer, buffers: Buffers, row, rows: int) -> None:
    """Emit out[row : row + rows] without the activation; packed is the transposed weight, (units, K)."""
    for first in range(0, layer.units, DOT_COLUMNS):
        _emit_columns(layer, buffers, row, rows, first, min(DOT_COLUMNS, layer.units - first))


def _emit_columns(layer: Layer, buffers: Buffers, row, rows: int, first: int, columns: int) -> None:
    lanes, depth = layer.tiles.lanes, layer.depth
    sums = registers(rows * columns, lanes)
    with T.unroll(rows * columns) as i:
        T.buffer_store(sums, T.broadcast(tirx.const(0.0, "float32"), lanes), [T.ramp(i * lanes, 1, lanes)])

    def step(k, count: int):
        """`count` steps of K at once; nothing is read beyond a row."""
        with T.unroll(rows) as r, T.unroll(columns) as c:
            register = T.ramp((r * columns + c) * lanes, 1, lanes)
            product = load(buffers.x, [row + r], k, lanes, count) * load(buffers.packed, [first + c], k, lanes, count)
            T.buffer_store(sums, sums[register] + product, [register])

    if depth >= lanes:
        with T.serial(depth // lanes) as block:
            step(T.cast(block, "int64") * lanes, lanes)
    if depth % lanes:
        step(tirx.const(depth // lanes * lanes, "int64"), depth % lanes)
    with T.unroll(rows) as r:
        extra = row_biases(buffers, row + r)
        with T.unroll(columns) as c:
            value = _total(sums[T.ramp((r * columns + c) * lanes, 1, lanes)], lanes) + buffers.bias[first + c]
            for bias, index in extra:
                value = value + bias[index, first + c]
            T.buffer_store(buffers.out, value, [row + r, first + c])


def _total(vector, lanes: int):
    """The sum over the lanes, by halves."""
    while lanes > 1:
        half = registers(1, lanes)
        T.buffer_store(half, vector, [T.ramp(0, 1, lanes)])
        lanes //= 2
        low, high = (0, 1) if lanes == 1 else (T.ramp(0, 1, lanes), T.ramp(lanes, 1, lanes))
        vector = half[low] + half[high]
    return vector


def emit_activation(layer: Layer, buffers: Buffers, first, end) -> None:
    """Emit out = activation(out) for the rows first..end, whose few outputs are next to each other: vectors across rows."""
    if layer.activation == "none":
        return
    lanes = layer.tiles.lanes
    numbers = buffers.x.shape[0] * layer.units
    flat = T.decl_buffer((numbers,), "float32", data=buffers.out.data, elem_offset=buffers.out.elem_offset, align=4)
    start, count = first * layer.units, (end - first) * layer.units

    def apply(index, valid):
        value = ACTIVATIONS[layer.activation](load(flat, [], index, lanes, valid), lanes)
        store(flat, value, [], index, lanes, valid)

    whole = T.bind(T.floordiv(count, tirx.const(lanes, "int64")))
    with T.serial(whole) as i:
        apply(start + i * lanes, lanes)
    left = T.bind(count - whole * lanes)
    with T.If(left > 0), T.Then():
        apply(start + whole * lanes, T.cast(left, "int32"))
