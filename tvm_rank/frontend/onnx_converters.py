"""TVM's ONNX importer with the converters that a ranking model needs otherwise: plain graphs, and safe reads.

Seen in apache-tvm 0.27 (`tvm.relax.frontend.onnx`):
- Gather reads with mode "fast" (an index out of range is a crash) and spells negative indices with run-time shape arithmetic.
- Min, Max, Sum and Mean of several tensors stack them and reduce; Clip is emitted as TIR, which no graph pass can see into.
- Gemm leaves the transposition and the scaling of constant weights to run time; BatchNormalization has its five inputs.
- Expand to a constant shape fails on a symbolic batch; Squeeze without axes may drop the batch; x[:, 1:3], arange(N) and a cast
  of a shape lose it.
- GatherElements, GatherND and the scatters do not check their indices either.
- Dropout, LayerNormalization, BatchNormalization give placeholders for results that they do not compute.
- GRU, LSTM, RNN, Scan, Loop and LpNormalization are missing, and all of ai.onnx.ml; nodes over constants alone are left to run time.
- A list without elements among the attributes of a node is an error.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax, tirx
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter, _get_convert_map

from tvm_rank.frontend import onnx_classical
from tvm_rank.frontend.onnx_fold import evaluated
from tvm_rank.frontend.onnx_indexing import (
    convert_expand,
    convert_gather,
    convert_one_hot,
    convert_range,
    convert_slice,
    convert_squeeze,
    with_indices_in_range,
    with_tuples_in_range,
)
from tvm_rank.frontend.onnx_loops import Body, convert_loop, convert_scan
from tvm_rank.frontend.onnx_normalization import convert_batch_normalization, convert_layer_normalization, convert_lp_normalization
from tvm_rank.frontend.onnx_operators import ML_DOMAIN, walk
from tvm_rank.frontend.onnx_recurrent import convert_gru, convert_lstm, convert_rnn
from tvm_rank.frontend.onnx_shapes import computed_shape, convert_reshape, convert_tile
from tvm_rank.frontend.onnx_signature import BATCH
from tvm_rank.frontend.onnx_values import Attributes, Inputs, NotConvertible, array_of, constant, is_constant, shape_of

_LISTS = (onnx.AttributeProto.FLOATS, onnx.AttributeProto.INTS, onnx.AttributeProto.STRINGS)
NO_NUMBERS = (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING)
MAX_PRODUCTS = 4  # largest exponent that becomes products


class Importer(ONNXGraphImporter):
    """TVM's importer, with `CONVERTERS` before its own, one binding per node, and the node at work in `current_node`."""

    def __init__(self) -> None:
        super().__init__(shape_dict={}, dtype_dict={}, keep_params_in_input=False, sanitize=False)
        self.current_node: str | None = None
        self._node: onnx.NodeProto | None = None
        self._nodes: dict[str, Any]
        self._read: set[str] = set()
        self.refused: list[tuple[str | None, Exception]] = []  # nodes that could not be converted, and why
        self.infer_types: Callable[[], dict[str, onnx.TypeProto]] = dict

    def from_onnx(self, graph: onnx.GraphProto, opset: int | None) -> tvm.IRModule:
        """The graph as a module."""
        self._read = {entry.name for entry in graph.output} | {name for node in walk(graph) for name in node.input}
        return super().from_onnx(graph, opset)

    def close(self) -> None:
        """End the block that a failed import leaves open: TVM would warn of it on stderr when the builder goes."""
        with contextlib.suppress(Exception):
            self.bb._end_block()

    def _construct_nodes(self, graph: Any) -> None:
        """Node by node: TVM refuses shapes as inputs of most operators before it asks for their conversion."""
        for node in graph.node:
            if (shape := computed_shape(node, [self._nodes.get(name) for name in node.input], self._parse_attr)) is not None:
                self._nodes[node.output[0]] = shape
            else:
                super()._construct_nodes(SimpleNamespace(node=[node]))

    def _check_for_unsupported_ops(self, graph: Any) -> None:
        """Nothing: `onnx_operators.unsupported_operators` has looked, and knows of our own converters."""

    def _parse_value_proto(self, value_proto: Any) -> str:
        if isinstance(value_proto, onnx.NodeProto):
            self.current_node, self._node = value_proto.name, value_proto
        return super()._parse_value_proto(value_proto)

    def _parse_attr(self, attr_proto: Any) -> Attributes:
        return super()._parse_attr([a for a in attr_proto if a.type not in _LISTS or onnx.helper.get_attribute_value(a)])

    def _convert_operator(self, op_name: str, inputs: Inputs, attrs: Attributes, opset: int) -> Any:
        """What a node computes. A node that is refused is noted, and zeros stand in for it, so that one message tells of all of them."""
        try:
            return self._converted(op_name, inputs, attrs, opset)
        except Exception as error:
            if (zeros := self._zeros()) is None:
                raise
            self.refused.append((self.current_node, error))
            return zeros

    def _zeros(self) -> Any:
        """Zeros in the shapes that ONNX infers for the outputs of the node at work; None when it does not know them."""
        types = self.infer_types()
        batch = next(
            (dims[0] for value in self._nodes.values() if (dims := shape_of(value)) and isinstance(dims[0], tirx.Var)), None
        )
        values = []
        for name in self._node.output if self._node is not None else ():
            tensor = types[name].tensor_type if name in types else None
            if tensor is None or not tensor.HasField("shape") or tensor.elem_type in NO_NUMBERS:
                return None
            dims = [dim.dim_value or (batch if dim.dim_param == BATCH else None) for dim in tensor.shape.dim]
            if any(dim is None for dim in dims):
                return None
            values.append(self.bb.emit(relax.op.zeros(dims, str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))))
        return relax.Tuple(values) if len(values) > 1 else values[0] if values else None

    def _converted(self, op_name: str, inputs: Inputs, attrs: Attributes, opset: int) -> Any:
        if (folded := evaluated(self._node, inputs, opset)) is not None:
            return folded
        if self._node is not None and self._node.domain == ML_DOMAIN:
            self._check_labels(attrs)
            result = onnx_classical.CONVERTERS[op_name](inputs, attrs, opset)
        elif op_name in LOOPS:
            result = LOOPS[op_name](inputs, attrs, self._body)
        else:
            own = CONVERTERS.get(op_name)
            result = own(inputs, attrs, opset) if own else None
        if isinstance(result, relax.Tuple) and attrs["tvm_custom"]["num_outputs"] == 1:
            return result.fields[0]  # the others may be left out
        if result is None:
            result = super()._convert_operator(op_name, inputs, attrs, opset)
        if isinstance(result, tvm.ir.Call) and isinstance(self.bb.normalize(result).ty, relax.TensorType):
            return self.bb.emit(result)  # else every consumer would repeat the call
        return result

    def _check_labels(self, attrs: Attributes) -> None:
        """Labels of a classifier may be texts if nothing reads them: its scores are numbers."""
        if attrs.get("classlabels_strings") and self._node is not None and self._node.output[0] in self._read:
            raise NotConvertible(
                "its labels are texts, and an output of the model; leave them out (onnx.utils.Extractor gives the part of a "
                "model that its scores need), or train with numbers as labels"
            )

    def _body(self, graph: onnx.GraphProto, values: Sequence[Any]) -> list[Any]:
        """What the body of a loop gives for these inputs; it sees the values outside of it."""
        outer, node = dict(self._nodes), self.current_node
        self._nodes.update({info.name: value for info, value in zip(graph.input, values, strict=True)})
        for tensor in graph.initializer:
            self._nodes[tensor.name] = relax.const(self._parse_array(tensor))
        self._construct_nodes(graph)
        found = [self._nodes[info.name] for info in graph.output]
        self._nodes, self.current_node = outer, node
        return found


def converter_names() -> frozenset[str]:
    """The operators of the standard domain that can be converted; If is none (see onnx_prepare.inline_constant_branches)."""
    return frozenset((*_get_convert_map(), *CONVERTERS, *LOOPS))


def _pairwise(op: Callable[[Any, Any], Any]) -> Callable[[Inputs, Attributes, int], Any]:
    def convert(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
        if any(shape_of(value) is None for value in inputs) or all(map(is_constant, inputs)):
            return None
        return functools.reduce(op, inputs)

    return convert


def _mean(inputs: Inputs, attrs: Attributes, opset: int) -> Any:
    total = _pairwise(relax.op.add)(inputs, attrs, opset)
    return None if total is None else relax.op.divide(total, relax.const(len(inputs), inputs[0].ty.dtype))


def _clip(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    x, low, high = inputs[0], inputs[1], inputs[2]
    if any(bound is not None and (not is_constant(bound) or np.isnan(array_of(bound)).any()) for bound in (low, high)):
        return None
    if shape_of(x) is None or is_constant(x):
        return None
    if low is not None and not np.isneginf(array_of(low)):
        x = relax.op.maximum(x, low)
    return x if high is None or np.isposinf(array_of(high)) else relax.op.minimum(x, high)


def _gemm(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """matmul(a, b) + c, with transposition and scale put into constant weights."""
    a, b, c = inputs[0], inputs[1], inputs[2]
    if not is_constant(b):
        return None
    alpha, beta = attrs.get("alpha", 1.0), attrs.get("beta", 1.0)
    weights = array_of(b).T if attrs.get("transB", 0) else array_of(b)
    weights = np.ascontiguousarray(weights if alpha == 1.0 else weights * weights.dtype.type(alpha))
    product = relax.op.matmul(relax.op.permute_dims(a, [1, 0]) if attrs.get("transA", 0) else a, constant(weights))
    if c is None or beta == 0.0:
        return product
    if beta != 1.0 and is_constant(c):
        c = constant(array_of(c) * array_of(c).dtype.type(beta))
    elif beta != 1.0:
        c = relax.op.multiply(c, relax.const(beta, c.ty.dtype))
    return relax.op.add(product, c)


def _dropout(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """The input itself. A model that asks for random zeros when it scores was exported in training mode."""
    if len(inputs) > 2 and inputs[2] is not None and not (is_constant(inputs[2]) and not array_of(inputs[2]).any()):
        raise NotConvertible("it is in training mode; export in evaluation mode (model.eval())")
    if attrs["tvm_custom"]["num_outputs"] > 1:
        raise NotConvertible("its mask is used; export in evaluation mode (model.eval())")
    return inputs[0]


def _softmax(inputs: Inputs, attrs: Attributes, opset: int) -> Any:
    """Before opset 13 softmax runs over all axes from `axis` on, which is plain softmax where that is the last one."""
    dims = shape_of(inputs[0])
    if opset >= 13 or dims is None or attrs.get("axis", 1) not in (-1, len(dims) - 1):
        return None
    return relax.op.nn.softmax(inputs[0], axis=-1)


def _power(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    """Products for small whole exponents, square root for 0.5.

    The exponent may have a dtype of its own (x ** 2 is often exported with an int64 two); the result has that of the base.
    """
    base, exponent = inputs
    if shape_of(base) is None or shape_of(exponent) is None or is_constant(base):
        return None
    dtype = str(base.ty.dtype)
    if is_constant(exponent) and array_of(exponent).size == 1 and len(shape_of(exponent) or []) <= len(shape_of(base) or []):
        value = float(array_of(exponent).item())
        if value in range(1, MAX_PRODUCTS + 1):
            return functools.reduce(relax.op.multiply, [base] * int(value))
        if value == 0.5 and dtype.startswith("float"):
            return relax.op.sqrt(base)
    if dtype == str(exponent.ty.dtype):
        return None
    if dtype.startswith("float"):
        return relax.op.power(base, relax.op.astype(exponent, dtype))
    return relax.op.astype(relax.op.power(relax.op.astype(base, "float64"), relax.op.astype(exponent, "float64")), dtype)


LOOPS: dict[str, Callable[[Inputs, Attributes, Body], Any]] = {"Loop": convert_loop, "Scan": convert_scan}

CONVERTERS: dict[str, Callable[[Inputs, Attributes, int], Any]] = {
    "BatchNormalization": convert_batch_normalization,
    "Clip": _clip,
    "Dropout": _dropout,
    "Expand": convert_expand,
    "Gather": convert_gather,
    "GRU": convert_gru,
    "GatherElements": with_indices_in_range,
    "GatherND": with_tuples_in_range,
    "Gemm": _gemm,
    "LSTM": convert_lstm,
    "LayerNormalization": convert_layer_normalization,
    "LpNormalization": convert_lp_normalization,
    "Max": _pairwise(relax.op.maximum),
    "Mean": _mean,
    "Min": _pairwise(relax.op.minimum),
    "OneHot": convert_one_hot,
    "Pow": _power,
    "RNN": convert_rnn,
    "Range": convert_range,
    "Scatter": with_indices_in_range,
    "ScatterElements": with_indices_in_range,
    "ScatterND": with_tuples_in_range,
    "Reshape": convert_reshape,
    "Slice": convert_slice,
    "Softmax": _softmax,
    "Squeeze": convert_squeeze,
    "Sum": _pairwise(relax.op.add),
    "Tile": convert_tile,
}
