"""What the kernels of this folder share: shapes whose first axis alone is symbolic, and a function over buffers of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from tvm import relax, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

Shape = tuple[int | None, ...]  # None: the rows


def shape_of(value: relax.Expr) -> Shape | None:
    """The extents of a tensor, None in place of a symbolic first one; None for any other tensor."""
    if not isinstance(value.ty, relax.TensorType) or not isinstance(value.ty.shape, relax.ShapeExpr):
        return None
    extents = list(value.ty.shape.values)
    if not extents or not all(isinstance(extent, tirx.IntImm) for extent in extents[1:]):
        return None
    first = int(extents[0]) if isinstance(extents[0], tirx.IntImm) else None
    return (first, *(int(extent) for extent in extents[1:]))


def kernel(
    name: str, shapes: Sequence[Shape], dtype: str, emit: Callable[[list[tirx.Buffer], tirx.PrimExpr], None], flops: int = 0
) -> tirx.PrimFunc:
    """A function of buffers of these shapes, the last one its result, which calls `emit(buffers, row)` for each row in parallel."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"tirx.noalias": True, "op_pattern": 8, **({"rank.flops": flops} if flops else {})})
        rows = T.int64()
        handles = [T.arg(f"p{k}", T.handle()) for k in range(len(shapes))]
        buffers = [
            T.match_buffer(handle, tuple(rows if extent is None else extent for extent in shape), dtype, align=4)
            for handle, shape in zip(handles, shapes, strict=True)
        ]
        # TVM asks of kernels with one operand whether they are reshapes, and expects a block around all
        with T.sblock("root") if len(shapes) == 2 else contextlib.nullcontext(), T.parallel(rows) as row:
            emit(buffers, row)
    return builder.get()


@contextlib.contextmanager
def loops(extents: Sequence[int]) -> Iterator[list[tirx.PrimExpr]]:
    """Loops inside of each other, the last one innermost; their counters."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(T.serial(int(extent))) for extent in extents]


def reduced(vector: tirx.Buffer, lanes: int, join: Callable) -> tirx.PrimExpr:
    """One number out of the lanes of a buffer, whose numbers are lost: halves joined until one is left."""
    while lanes > 1:
        lanes //= 2
        first, second = (T.ramp(k, 1, lanes) if lanes > 1 else k for k in (0, lanes))
        T.buffer_store(vector, join(vector[first], vector[second]), [first])
    return vector[0]


def call(builder: relax.BlockBuilder, func: tirx.PrimFunc, name: str, args: Sequence[relax.Expr], ty: relax.Type) -> relax.Expr:
    """The call of a kernel."""
    return relax.call_tir(builder.add_func(func, name), relax.Tuple(list(args)), ty)


def name_of(shapes: Sequence[Shape]) -> str:
    """`Nx3_Nx5`"""
    return "_".join("x".join("N" if extent is None else str(extent) for extent in shape) for shape in shapes)
