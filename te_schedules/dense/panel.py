"""Tiles of the dense layer for outputs that fill vectors: one register holds neighbouring outputs of one row."""

from __future__ import annotations

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import ACTIVATIONS
from te_schedules.dense.layer import Buffers, Layer, bias_row, load, store


def emit_sums(layer: Layer, buffers: Buffers, tile, row, rows: int, panel, columns: int) -> None:
    """Emit tile[r, c] = sum over K for `rows` rows from `row` on and the first `columns` columns of a panel, rounded up to vectors.

    The sums live in a buffer of their own, all of whose indices are constant once the loops are unrolled: LLVM keeps it in
    registers. `tile` is read with a running index and therefore lives on the stack.
    """
    lanes = layer.tiles.lanes
    vectors = -(-columns // lanes)
    sums = T.alloc_buffer((rows * vectors * lanes,), "float32", scope="local")
    with T.unroll(rows * vectors) as i:
        T.buffer_store(sums, T.broadcast(tirx.const(0.0, "float32"), lanes), [T.ramp(i * lanes, 1, lanes)])

    def step(k):
        with T.unroll(rows) as r, T.unroll(vectors) as v:
            register = T.ramp((r * vectors + v) * lanes, 1, lanes)
            x = T.broadcast(buffers.x[row + r, k], lanes)
            T.buffer_store(sums, sums[register] + x * buffers.packed[panel, k, T.ramp(v * lanes, 1, lanes)], [register])

    unroll = min(layer.tiles.unroll, layer.depth)
    with T.serial(layer.depth // unroll) as block, T.unroll(unroll) as u:
        step(block * unroll + u)
    if layer.depth % unroll:
        with T.unroll(layer.depth % unroll) as u:
            step(layer.depth // unroll * unroll + u)
    with T.unroll(rows) as r, T.unroll(vectors) as v:
        T.buffer_store(tile, sums[T.ramp((r * vectors + v) * lanes, 1, lanes)], [r, T.ramp(v * lanes, 1, lanes)])


def emit_finish(layer: Layer, buffers: Buffers, tile, row, rows, panel, columns: int) -> None:
    """Emit out = activation(tile + biases) for `rows` rows (an expression) and `columns` columns of a panel."""
    lanes = layer.tiles.lanes
    with T.serial(rows) as r:
        extra = bias_row(buffers, row + r)

        def finish(v, count):
            column = panel * layer.width + v * lanes
            value = tile[r, T.ramp(v * lanes, 1, lanes)] + load(buffers.bias, [], column, lanes, count)
            if extra is not None:
                value = value + load(buffers.row_bias, [extra], column, lanes, count)
            store(buffers.out, ACTIVATIONS[layer.activation](value, lanes), [row + r], column, lanes, count)

        if columns >= lanes:
            with T.serial(columns // lanes) as v:
                finish(v, lanes)
        if columns % lanes:
            finish(columns // lanes, columns % lanes)
