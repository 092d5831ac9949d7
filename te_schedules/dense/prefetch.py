"""Lines of memory that a tile asks for before it needs them."""

from __future__ import annotations

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.layer import Buffers, Layer, row_of


def prefetch_items(layer: Layer, buffers: Buffers, row, rows: int, panel, vectors: int) -> None:
    """Emit prefetches of the items' biases of the next tile: rows of the item store anywhere in it, while this tile is summed."""
    if buffers.item_bias is None or not layer.tiles.prefetch_steps:
        return
    last = buffers.out.shape[0] - 1
    with T.unroll(rows) as r:
        item = row_of(buffers.item_bias, buffers.item_index, T.min(row + rows + r, last))
        with T.unroll(vectors) as v:
            prefetch_line(buffers.item_bias[item, panel * layer.width + v * layer.tiles.lanes])


def prefetch_line(element) -> None:
    """Emit a prefetch of the line of a buffer's element, which may lie beyond its end: only an address is computed."""
    read, keep, data = (tirx.const(value, "int32") for value in (0, 3, 1))
    T.evaluate(T.call_llvm_intrin("void", "llvm.prefetch.p0", T.address_of(element), read, keep, data))
