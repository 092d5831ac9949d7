"""A small writer of ONNX graphs: enough for the models of the zoo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
ML_OPSET = 3  # of ai.onnx.ml
IR_VERSION = 10


class GraphWriter:
    """Collects nodes and constants; a value is the name of its tensor.

    `inputs` maps a graph input to its shape without the batch axis, and `ids` names those that are int64 instead of float32.
    """

    def __init__(self, name: str, inputs: Mapping[str, Sequence[int]], *, ids: Sequence[str] = ()):
        self.name = name
        self._inputs = [
            helper.make_tensor_value_info(key, TensorProto.INT64 if key in ids else TensorProto.FLOAT, ["N", *shape])
            for key, shape in inputs.items()
        ]
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        """A named constant of the graph."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def integers(self, *values: int) -> str:
        """An int64 vector, as axes and shapes are given."""
        return self.constant("_".join(["i64", *map(str, values)]), np.array(values, np.int64))

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """One operator with one output."""
        output = output or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def dense(self, x: str, name: str, weights: Mapping[str, np.ndarray], activation: str | None = None) -> str:
        """x (N, in) -> activation(x @ <name>_w + <name>_b), with weights (in, out) and (out,)."""
        product = self.node("MatMul", x, self.constant(f"{name}_w", weights[f"{name}_w"]))
        biased = self.node("Add", product, self.constant(f"{name}_b", weights[f"{name}_b"]))
        return self.node(activation, biased) if activation else biased

    def model(self, value: str, *, output: str = "score", width: int = 1) -> onnx.ModelProto:
        """The checked model whose output (N, width) is sigmoid(value)."""
        return self.with_outputs({output: self.node("Sigmoid", value)}, width=width)

    def with_outputs(self, values: Mapping[str, str], *, width: int = 1) -> onnx.ModelProto:
        """The checked model with these outputs (N, width): name -> value."""
        for name, value in values.items():
            self.node("Identity", value, output=name)
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]) for name in values]
        graph = helper.make_graph(self._nodes, self.name, self._inputs, outputs, list(self._constants.values()))
        domains = {"": OPSET, **{node.domain: ML_OPSET for node in self._nodes if node.domain}}
        opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        model.producer_name = "tvm_rank.zoo"
        onnx.checker.check_model(model, full_check=True)
        return model


def dense_weights(rng: np.random.Generator, sizes: Mapping[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    """float32 weights `<name>_w` (in, out), scaled so that values keep their size through the layers, and `<name>_b` (out,)."""
    weights = {}
    for name, (wide, narrow) in sizes.items():
        weights[f"{name}_w"] = (rng.standard_normal((wide, narrow)) * np.sqrt(2.0 / wide)).astype(np.float32)
        weights[f"{name}_b"] = (rng.standard_normal(narrow) * 0.1).astype(np.float32)
    return weights
