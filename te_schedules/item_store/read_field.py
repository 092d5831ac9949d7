"""The Relax operator `rank.read_field`: what the store keeps of the items of a request.

    rank.read_field(stored (S, ...), item_rows (N,) int32)  ->  (N, ...), the rows of `stored`

The rows are those that the key index found, so they are all there. Pure; the legalization is a copy in vectors.
"""

from __future__ import annotations

from math import prod

from tvm import relax, tirx
from tvm.ir import Op
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.column_group.kernel import OPERATOR
from te_schedules.operator import define

NAME = "rank.read_field"
LANES = 16  # of a copy; narrower vectors take several
PARALLEL_BYTES = 4 << 20  # from which on the rows are dealt to threads


def read_field(stored: relax.Expr, item_rows: relax.Expr) -> relax.Call:
    """A call of the operator."""
    return relax.Call(Op.get(NAME), [stored, item_rows])


def prim_func(shape: tuple[int, ...], dtype: str, name: str) -> tirx.PrimFunc:
    """The kernel for rows of this shape: (stored (S, *shape), rows (N,) int32, out (N, *shape))."""
    size, width = prod(shape), max(1, tirx.const(0, dtype).ty.dtype.itemsize)
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"tirx.noalias": True, OPERATOR: NAME, "op_pattern": 8})
        handles = [T.arg(f"p_{argument}", T.handle()) for argument in ("stored", "rows", "out")]
        items, count = T.int64(), T.int64()
        stored = T.match_buffer(handles[0], (items, *shape), dtype, align=width)
        rows = T.match_buffer(handles[1], (count,), "int32", align=4)
        out = T.match_buffer(handles[2], (count, *shape), dtype, align=width)
        source = T.decl_buffer((items * size,), dtype, data=stored.data, align=width)
        target = T.decl_buffer((count * size,), dtype, data=out.data, align=width)

        def copy(n) -> None:
            begin = T.bind(T.cast(rows[n], "int64") * T.int64(size))
            whole, rest = divmod(size, LANES)
            if whole:
                with T.serial(T.int64(whole)) as k, T.vectorized(T.int64(LANES)) as v:
                    at = k * T.int64(LANES) + v
                    T.buffer_store(target, source[begin + at], [n * T.int64(size) + at])
            with T.serial(T.int64(rest)) as k:
                at = k + T.int64(whole * LANES)
                T.buffer_store(target, source[begin + at], [n * T.int64(size) + at])

        with T.If(count * T.int64(size * width) >= T.int64(PARALLEL_BYTES)):
            with T.Then(), T.parallel(count) as n:
                copy(n)
            with T.Else(), T.serial(count) as n:
                copy(n)
    return builder.get()


def _infer(call: relax.Call, _builder) -> relax.Type:
    stored, rows = call.args
    return relax.TensorType([rows.ty.shape.values[0], *stored.ty.shape.values[1:]], stored.ty.dtype)


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    shape = tuple(int(extent) for extent in call.ty.shape.values[1:])
    name = "read_" + "x".join(map(str, shape)) + f"_{call.ty.dtype}"
    return relax.call_tir(builder.add_func(prim_func(shape, str(call.ty.dtype), name), name), relax.Tuple(list(call.args)), call.ty)


define(NAME, "Rows of what an item store keeps.", (("stored", "Tensor"), ("item_rows", "Tensor")), _infer, _legalize)
