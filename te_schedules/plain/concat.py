"""Concatenation as copies of runs of numbers, part by part: TVM asks of each number of the result which part it comes from."""

from __future__ import annotations

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.plain import rows


def legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr | None:
    """Parts with rows, along another axis than the rows."""
    parts = list(call.args[0].fields) if isinstance(call.args[0], relax.Tuple) else []
    shapes = [rows.shape_of(part) for part in parts]
    axis = int(call.attrs.axis) % call.ty.ndim if call.attrs.axis is not None else 0
    if not shapes or axis == 0 or any(shape is None or shape[0] is not None for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    out = (None, *known[0][1:axis], sum(shape[axis] or 0 for shape in known), *known[0][axis + 1 :])
    dtype = str(call.ty.dtype)
    name = f"concat{axis}_{rows.name_of(known)}{'' if dtype == 'float32' else f'_{dtype}'}"
    func = rows.kernel(name, [*known, out], dtype, lambda buffers, row: _emit(buffers, row, axis))
    return rows.call(builder, func, name, parts, call.ty)


def _emit(buffers: list[tirx.Buffer], row: tirx.PrimExpr, axis: int) -> None:
    *parts, out = buffers
    with rows.loops(out.shape[1:axis]) as before:
        first = 0
        for part in parts:
            with rows.loops(part.shape[axis:]) as at:
                value = part[tuple([row, *before, *at])]
                T.buffer_store(out, value, [row, *before, at[0] + first, *at[1:]])
            first += int(part.shape[axis])
