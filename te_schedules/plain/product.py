"""Matrix products of each row of a batch: a register tile of a few rows and columns of the result over all of K.

out[n, ..., i, j] = sum_k left[n, ..., i, k] right[n, ..., k, j]          left may be one matrix (I, K) for all n
"""

from __future__ import annotations

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import splat
from te_schedules.dense.layer import load, registers, store
from te_schedules.plain import rows
from te_schedules.plain.rows import Shape

LANES = 8
TILE = 4  # rows of the result at a time
VECTORS = 2


def legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr | None:
    """float32 products with a matrix of its own on the right for each row, and the same leading axes."""
    left, right = (rows.shape_of(operand) for operand in call.args)
    if left is None or right is None or call.ty.dtype != "float32" or any(a.ty.dtype != "float32" for a in call.args):
        return None
    shared = len(left) == 2 and left[0] is not None
    if right[0] is not None or len(right) < 3 or not (shared or left[:-2] == right[:-2]):
        return None
    if not shared and left[0] is not None:
        return None
    out: Shape = (*right[:-2], left[-2], right[-1])
    name = f"product_{rows.name_of([left, right])}"
    flops = 2 * (left[-2] or 0) * (left[-1] or 0) * (right[-1] or 0)
    for extent in right[1:-2]:
        flops *= extent or 1
    return rows.call(builder, rows.kernel(name, [left, right, out], "float32", _emit, flops), name, call.args, call.ty)


def _emit(buffers: list[tirx.Buffer], row: tirx.PrimExpr) -> None:
    with rows.loops(buffers[2].shape[1:-2]) as at:
        _emit_matrix(buffers, [row, *at])


def _emit_matrix(buffers: list[tirx.Buffer], at: list) -> None:
    height, width = (int(extent) for extent in buffers[2].shape[-2:])
    step = VECTORS * LANES
    for first in range(0, width, step):
        counts = [min(LANES, width - k) for k in range(first, min(first + step, width), LANES)]
        if height >= TILE:
            with T.serial(height // TILE) as block:
                _emit_tile(buffers, at, block * TILE, TILE, first, counts)
        if height % TILE:
            _emit_tile(buffers, at, tirx.const(height - height % TILE, "int32"), height % TILE, first, counts)


def _emit_tile(buffers: list[tirx.Buffer], at: list, top: tirx.PrimExpr, tall: int, first: int, counts: list[int]) -> None:
    left, right, out = buffers
    of_left = at if len(left.shape) > 2 else []
    sums = registers(tall * len(counts), LANES)

    def register(i: int, j: int) -> list:
        return [T.ramp((i * len(counts) + j) * LANES, 1, LANES)]

    for i in range(tall):
        for j in range(len(counts)):
            T.buffer_store(sums, splat(0.0, LANES), register(i, j))
    with T.serial(int(left.shape[-1])) as k:
        for j, count in enumerate(counts):
            column = load(right, [*at, k], tirx.const(first + j * LANES, "int64"), LANES, count)
            for i in range(tall):
                factor = T.broadcast(left[tuple([*of_left, top + i, k])], LANES)
                T.buffer_store(sums, sums[register(i, j)[0]] + factor * column, register(i, j))
    for i in range(tall):
        for j, count in enumerate(counts):
            place = tirx.const(first + j * LANES, "int64")
            store(out, sums[register(i, j)[0]], [*at, top + i], place, LANES, count)
