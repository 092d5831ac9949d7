"""Softmax along the last axis, with the exponentials of a row in vector registers."""

from __future__ import annotations

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import exponential, hold, splat
from te_schedules.plain import rows

LANES = 8  # numbers behind the end of a row are 1e-38 in the sum: nothing
SHORTEST = 4  # of a row: for fewer, most lanes would idle
LONGEST = 240  # of a row: the numbers stay on the stack
LOW = -3.0e38  # stands behind the end of a row


def legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr | None:
    """float32 rows of a short last axis."""
    shape, axis = rows.shape_of(call.args[0]), int(call.attrs.axis)
    if shape is None or shape[0] is not None or axis not in (-1, len(shape) - 1) or call.ty.dtype != "float32" or len(shape) < 2:
        return None
    if not SHORTEST <= (shape[-1] or 0) <= LONGEST:
        return None
    name = f"softmax_{rows.name_of([shape])}"
    return rows.call(builder, rows.kernel(name, [shape, shape], "float32", _emit), name, call.args, call.ty)


def _emit(buffers: list[tirx.Buffer], row: tirx.PrimExpr) -> None:
    x, out = buffers
    *outer, length = (int(extent) for extent in x.shape[1:])
    padded = -(-length // LANES) * LANES
    with rows.loops(outer) as at:
        _emit_row(x, out, [row, *at], length, padded)


def _emit_row(x: tirx.Buffer, out: tirx.Buffer, at: list, length: int, padded: int) -> None:
    values = T.alloc_buffer((padded,), "float32", scope="global")
    lanes = T.alloc_buffer((LANES,), "float32", scope="global")
    scale = T.alloc_buffer((1,), "float32", scope="global")
    all_lanes, pieces = T.ramp(0, 1, LANES), [T.ramp(first, 1, LANES) for first in range(0, padded, LANES)]
    with T.serial(length) as k:
        T.buffer_store(values, x[tuple([*at, k])], [k])
    for k in range(length, padded):
        T.buffer_store(values, tirx.const(LOW, "float32"), [k])
    T.buffer_store(lanes, values[pieces[0]], [all_lanes])
    for piece in pieces[1:]:
        T.buffer_store(lanes, _larger(lanes[all_lanes], values[piece]), [all_lanes])
    T.buffer_store(scale, rows.reduced(lanes, LANES, _larger), [0])
    T.buffer_store(lanes, splat(0.0, LANES), [all_lanes])
    for piece in pieces:
        T.buffer_store(values, exponential(hold(values[piece] - T.broadcast(scale[0], LANES), LANES), LANES), [piece])
        T.buffer_store(lanes, lanes[all_lanes] + values[piece], [all_lanes])
    T.buffer_store(scale, tirx.const(1.0, "float32") / rows.reduced(lanes, LANES, lambda a, b: a + b), [0])
    with T.serial(length) as k:
        T.buffer_store(out, values[k] * scale[0], [*at, k])


def _larger(a: tirx.PrimExpr, b: tirx.PrimExpr) -> tirx.PrimExpr:
    return T.Select(a > b, a, b)
