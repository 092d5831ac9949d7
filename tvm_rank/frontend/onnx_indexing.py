"""Converters of the operators that choose or lay out elements: by index, by range, by shape. See onnx_converters.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx

from tvm_rank.frontend.onnx_shapes import expanded
from tvm_rank.frontend.onnx_values import Attributes, Inputs, NotConvertible, array_of, constant, is_constant, shape_of

END_OF_AXIS = 10**9  # exporters write this, 2 ** 31 - 1, or 2 ** 63 - 1, for "to the end"


def convert_gather(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """take(mode="wrap"): i and i - n read the same row, as ONNX asks, and no index reads outside of the table."""
    data, indices = inputs
    if isinstance(data, relax.ShapeExpr) and is_constant(indices) and array_of(indices).ndim == 1:
        return relax.ShapeExpr([data.values[int(i)] for i in array_of(indices)])  # stays a shape, which Reshape can read
    if shape_of(data) is None or (is_constant(data) and is_constant(indices)) or shape_of(indices) is None:
        return None  # shape values and constants: TVM's converter folds them
    return relax.op.take(data, indices, axis=attrs.get("axis", 0), mode="wrap")


def convert_expand(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    """Expand to constants: a symbolic axis can only stay as it is, which a target of 1 says."""
    data, shape = inputs
    dims = shape_of(data)
    if isinstance(shape, relax.ShapeExpr):
        return expanded(data, shape)
    if not is_constant(shape) or dims is None or all(isinstance(dim, tirx.IntImm) for dim in dims):
        return None
    target = [int(size) for size in array_of(shape)]
    dims = [1] * (len(target) - len(dims)) + dims
    target = [1] * (len(dims) - len(target)) + target
    if any(size not in (1, -1) and not isinstance(dim, tirx.IntImm) for dim, size in zip(dims, target, strict=True)):
        raise NotConvertible(f"it expands the batch to a fixed size, {target}; export with a dynamic batch")
    return relax.op.broadcast_to(data, [dim if size in (1, -1) else size for dim, size in zip(dims, target, strict=True)])


def convert_squeeze(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """Without axes: drop the axes that are known to be 1. The batch stays, also for a batch of one row."""
    dims = shape_of(inputs[0])
    if inputs[1] is not None or "axes" in attrs or dims is None or is_constant(inputs[0]):
        return None
    axes = [axis for axis, dim in enumerate(dims) if isinstance(dim, tirx.IntImm) and int(dim) == 1]
    return relax.op.squeeze(inputs[0], axes) if axes else inputs[0]


def convert_slice(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    """Drop the axes of which all is taken, such as the batch of x[:, 1:3]: TVM would make min(2 ** 63 - 1, N) of it.

    A constant is cut here, so that it can still be the shape of a Reshape.
    """
    data, *bounds = [inputs[i] for i in range(5)]
    dims = shape_of(data)
    if dims is None or not all(bound is None or is_constant(bound) for bound in bounds):
        return None
    starts, ends = (array_of(bound).tolist() for bound in bounds[:2])
    axes = list(range(len(starts))) if bounds[2] is None else [axis % len(dims) for axis in array_of(bounds[2]).tolist()]
    steps = [1] * len(starts) if bounds[3] is None else array_of(bounds[3]).tolist()
    cuts = list(zip(axes, starts, ends, steps, strict=True))
    if is_constant(data):
        by_axis = {axis: slice(start, end, step) for axis, start, end, step in cuts}
        return constant(np.ascontiguousarray(array_of(data)[tuple(by_axis.get(axis, slice(None)) for axis in range(len(dims)))]))
    kept = [(axis, start, end, step) for axis, start, end, step in cuts if start != 0 or step != 1 or end < END_OF_AXIS]
    if len(kept) == len(starts):
        return None
    if not kept:
        return data
    return relax.op.strided_slice(data, *([part[i] for part in kept] for i in range(4)))


def convert_range(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    """arange(N) keeps the batch as its size; TVM gives it a size that is known at run time only."""
    start, limit, delta = (int(array_of(v).item()) if is_constant(v) and array_of(v).dtype == np.int64 else v for v in inputs)
    if start != 0 or delta != 1 or not tvm.ir.is_prim_expr(limit):
        return None
    return relax.op.arange(0, limit, 1, dtype="int64")


def with_indices_in_range(inputs: Inputs, attrs: Attributes, _opset: int) -> None:
    """Wrap the indices that are computed at run time around the axis, as Gather does, then leave the node to TVM."""
    dims = shape_of(inputs[0]) or []
    axis = attrs.get("axis", 0) % max(1, len(dims))
    _wrap(inputs, dims[axis : axis + 1])


def with_tuples_in_range(inputs: Inputs, attrs: Attributes, _opset: int) -> None:
    """The same for indices whose last axis names several axes of the data."""
    first = attrs.get("batch_dims", 0)
    depth = (shape_of(inputs[1]) or [0])[-1]
    _wrap(inputs, (shape_of(inputs[0]) or [])[first : first + int(depth)])


def _wrap(inputs: Inputs, dims: list[Any]) -> None:
    if not dims or not all(isinstance(dim, tirx.IntImm) for dim in dims):
        raise NotConvertible("it indexes the batch, or an axis of unknown size; index a fixed axis")
    sizes = np.array([int(dim) for dim in dims])
    if is_constant(inputs[1]):
        inputs[1] = constant(array_of(inputs[1]) % sizes.astype(array_of(inputs[1]).dtype))
    else:
        divisor = constant(sizes.astype(str(inputs[1].ty.dtype)))
        inputs[1] = relax.BlockBuilder.current().emit(relax.op.floor_mod(inputs[1], divisor))


def convert_one_hot(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """TVM's converter gives float64 where the values are float32."""
    indices, depth, values = inputs
    if not is_constant(depth) or not is_constant(values) or shape_of(indices) is None:
        raise NotConvertible("its depth and its values must be constants")
    size, dtype = int(array_of(depth).item()), str(indices.ty.dtype)
    if dtype not in ("int64", "int32"):
        indices, dtype = relax.op.astype(indices, "int64"), "int64"
    negative = relax.op.less(indices, relax.const(0, dtype))
    indices = relax.op.where(negative, relax.op.add(indices, relax.const(size, dtype)), indices)
    off, on = (relax.prim_value(tirx.const(value.item(), str(array_of(values).dtype))) for value in array_of(values))
    return relax.op.one_hot(indices, on, off, size, attrs.get("axis", -1))
