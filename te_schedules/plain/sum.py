"""Sums along the last axis, in lanes: TVM adds one number after the other."""

from __future__ import annotations

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import splat
from te_schedules.dense.layer import load
from te_schedules.plain import rows

LANES = 8


def legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr | None:
    """The last axis of float32 rows."""
    shape = rows.shape_of(call.args[0])
    if shape is None or shape[0] is not None or call.ty.dtype != "float32" or call.attrs.axis is None or len(call.attrs.axis) != 1:
        return None
    axis = int(call.attrs.axis[0]) % len(shape)
    if axis == 0 or axis != len(shape) - 1:
        return None
    keeps = bool(call.attrs.keepdims)
    out = (*shape[:-1], *((1,) if keeps else ()))
    name = f"sum_{rows.name_of([shape])}{'_keep' * keeps}"
    func = rows.kernel(name, [shape, out], "float32", lambda buffers, row: _emit(buffers, row, keeps))
    return rows.call(builder, func, name, call.args, call.ty)


def _emit(buffers: list[tirx.Buffer], row: tirx.PrimExpr, keeps: bool) -> None:
    x, out = buffers
    with rows.loops(x.shape[1:-1]) as before:
        at = [row, *before]
        T.buffer_store(out, sum_of_run(x, at, int(x.shape[-1])), [*at, *([0] if keeps else [])])


def sum_of_run(x: tirx.Buffer, at: list, length: int) -> tirx.PrimExpr:
    """The sum of x[*at, :]."""
    sums, lanes = T.alloc_buffer((LANES,), "float32", scope="global"), [T.ramp(0, 1, LANES)]
    T.buffer_store(sums, splat(0.0, LANES), lanes)
    whole = length - length % LANES
    if whole:
        with T.serial(whole // LANES) as k:
            T.buffer_store(sums, sums[lanes[0]] + load(x, at, k * LANES, LANES, LANES), lanes)
    if length % LANES:
        part = load(x, at, tirx.const(whole, "int32"), LANES, length % LANES)
        T.buffer_store(sums, sums[lanes[0]] + part, lanes)
    return rows.reduced(sums, LANES, lambda a, b: a + b)
