"""Arithmetic on shapes: what exporters compute from `Shape` is known at import, but for the batch, which stays a symbol.

    Shape(x) -> Cast -> Slice -> Concat -> Cast -> Reshape      (TensorFlow writes each of its shapes so)

A vector is a ShapeExpr, a number a PrimExpr; where no symbol is left, both are constants, which other converters know.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import tvm
import tvm_ffi
from tvm import relax, tirx

from tvm_rank.frontend.onnx_values import Attributes, Inputs, array_of, constant, is_constant, shape_of

Array = np.ndarray  # of objects: int, or an expression over the batch

_INTEGERS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)


def computed_shape(node: onnx.NodeProto, inputs: Inputs, parse: Callable[[Any], Attributes]) -> Any | None:
    """The result of a node that reads a shape, or a number of one, and otherwise constants; None for any other node."""
    if node.op_type not in _OPERATORS or len(node.output) != 1 or not any(_is_symbolic(value) for value in inputs):
        return None
    arrays = [None if value is None else _array(value) for value in inputs]
    if any(array is None and value is not None for array, value in zip(arrays, inputs, strict=True)):
        return None
    result = _OPERATORS[node.op_type](arrays, parse(node.attribute))
    return None if result is None else _value(np.asarray(result))


def convert_reshape(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    """To a shape with the batch in it, in which -1 and 0 may stand as in any."""
    data, shape = inputs[0], inputs[1]
    if not isinstance(shape, relax.ShapeExpr) or shape_of(data) is None:
        return None
    return relax.op.reshape(data, list(shape.values))


def convert_tile(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    """Of axes of one number: a broadcast, which passes know; TVM would make a kernel of it."""
    data, repeats = inputs[0], inputs[1]
    dims = shape_of(data)
    if not is_constant(repeats) or dims is None or is_constant(data) or len(dims) != array_of(repeats).size:
        return None
    target = []
    for dim, times in zip(dims, array_of(repeats).tolist(), strict=True):
        if times != 1 and not (isinstance(dim, tirx.IntImm) and int(dim) == 1):
            return None
        target.append(dim if times == 1 else times)
    return relax.op.broadcast_to(data, target)


def expanded(data: Any, shape: relax.ShapeExpr) -> Any | None:
    """`data` broadcast to a shape with the batch in it; None when that is no broadcast that is known."""
    dims = shape_of(data)
    if dims is None:
        return None
    target = list(shape.values)
    dims = [1] * (len(target) - len(dims)) + dims
    target = [1] * (len(dims) - len(target)) + target
    return relax.op.broadcast_to(data, [dim if _is_one(size) else size for dim, size in zip(dims, target, strict=True)])


def _is_one(size: Any) -> bool:
    return isinstance(size, (int, tirx.IntImm)) and int(size) in (1, -1)


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, relax.ShapeExpr) or tvm.ir.is_prim_expr(value)


def _array(value: Any) -> Array | None:
    """A shape, a number of one, or a constant of integers; None for other values."""
    if isinstance(value, relax.ShapeExpr):
        return _objects([_number(extent) for extent in value.values])
    if tvm.ir.is_prim_expr(value):
        return _objects(_number(value))
    if is_constant(value) and array_of(value).dtype.kind in "iub" and array_of(value).size <= 64:
        return array_of(value).astype(object)
    return None


def _objects(values: Any) -> Array:
    array = np.empty((len(values),) if isinstance(values, list) else (), object)
    array[...] = values
    return array


def _number(value: Any) -> Any:
    value = tvm.sym.Analyzer().simplify(value) if tvm.ir.is_prim_expr(value) else value
    return int(value) if isinstance(value, (int, bool, np.integer, np.bool_, tirx.IntImm)) else value


def _value(array: Array) -> Any | None:
    numbers = [_number(value) for value in array.reshape(-1)]
    if all(isinstance(value, int) for value in numbers):
        return constant(np.array(numbers, np.int64 if array.dtype != bool else bool).reshape(array.shape))
    if array.ndim == 0:
        return relax.prim_value(numbers[0])
    return relax.ShapeExpr(numbers) if array.ndim == 1 else None


def _axes(arrays: list[Array | None], attrs: Attributes) -> tuple[int, ...] | None:
    given = arrays[1].reshape(-1).tolist() if len(arrays) > 1 and arrays[1] is not None else attrs.get("axes")
    return None if given is None else tuple(int(axis) for axis in given)


def _cast(arrays: list, attrs: Attributes) -> Array | None:
    return arrays[0] if attrs["to"] in _INTEGERS else None


def _concat(arrays: list, _attrs: Attributes) -> Array | None:
    return np.concatenate(arrays) if all(array.ndim == 1 for array in arrays) else None


def _gather(arrays: list, _attrs: Attributes) -> Array:
    return arrays[0][arrays[1].astype(np.int64)]


def _slice(arrays: list, _attrs: Attributes) -> Array | None:
    if len(arrays) < 3 or not all(isinstance(v, int) for part in arrays[1:] if part is not None for v in part.reshape(-1)):
        return None
    start, end = (int(part.reshape(-1)[0]) for part in arrays[1:3])
    step = int(arrays[4].reshape(-1)[0]) if len(arrays) > 4 and arrays[4] is not None else 1
    return arrays[0][start:end:step]


def _squeeze(arrays: list, attrs: Attributes) -> Array:
    return np.squeeze(arrays[0], _axes(arrays, attrs))


def _unsqueeze(arrays: list, attrs: Attributes) -> Array:
    return np.expand_dims(arrays[0], _axes(arrays, attrs) or (0,))


def _reshape(arrays: list, _attrs: Attributes) -> Array:
    return arrays[0].reshape([int(extent) for extent in arrays[1]])


def _product(arrays: list, attrs: Attributes) -> Array:
    found = functools.reduce(operator.mul, arrays[0].reshape(-1).tolist(), 1)
    return _objects([found] if attrs.get("keepdims", 1) else found)


def _max(arrays: list, attrs: Attributes) -> Array | None:
    found = arrays[0]
    for other in arrays[1:]:
        found = None if found is None else _elementwise(_largest)([found, other], attrs)
    return found


def _elementwise(of_two: Callable[[Any, Any], Any]) -> Callable[[list, Attributes], Array | None]:
    def compute(arrays: list, _attrs: Attributes) -> Array | None:
        left, right = np.broadcast_arrays(arrays[0], arrays[1])
        pairs = [of_two(_number(a), _number(b)) for a, b in zip(left.reshape(-1), right.reshape(-1), strict=True)]
        return None if any(one is None for one in pairs) else _objects(pairs).reshape(left.shape)

    return compute


def _largest(left: Any, right: Any) -> Any | None:
    """A batch has a row at least."""
    if isinstance(left, int) and isinstance(right, int):
        return max(left, right)
    if isinstance(left, int):
        left, right = right, left
    if tvm.ir.is_prim_expr(right):
        return left if tvm_ffi.structural_equal(left, right) else None
    return left if right <= 1 else None


def _equal(left: Any, right: Any) -> bool | None:
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    if isinstance(left, int):
        left, right = right, left
    return False if isinstance(right, int) and right < 1 else None


def _where(arrays: list, _attrs: Attributes) -> Array | None:
    chosen, one, other = np.broadcast_arrays(*arrays)
    found = [a if c else b for c, a, b in zip(chosen.reshape(-1), one.reshape(-1), other.reshape(-1), strict=True)]
    return _objects(found).reshape(chosen.shape)


_OPERATORS: dict[str, Callable[[list, Attributes], Array | None]] = {
    "Add": _elementwise(operator.add),
    "Cast": _cast,
    "Concat": _concat,
    "Div": _elementwise(operator.floordiv),
    "Equal": _elementwise(_equal),
    "Gather": _gather,
    "Identity": lambda arrays, _attrs: arrays[0],
    "Max": _max,
    "Mul": _elementwise(operator.mul),
    "ReduceProd": _product,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _elementwise(operator.sub),
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
