"""The dense model of an ONNX file as a list of steps, for frameworks that do not read ONNX."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tvm_rank.bench.peers.serve import Refused

DENSE = "Dense"  # a MatMul by a constant and the addition of a constant vector behind it, which frameworks have in one call


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator. constants: those of its inputs that are, by place."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    constants: Mapping[int, np.ndarray]

    def integers(self, place: int) -> list[int]:
        """A constant vector of integers, as axes and shapes are given. Raises Refused when it is computed."""
        if place not in self.constants:
            raise Refused(f"ONNX operator {self.operator} with a computed input {place} is not written for it")
        return [int(value) for value in self.constants[place].reshape(-1)]

    def axes(self, place: int = 1) -> list[int] | None:
        """The axes, from an attribute or an input; None for all."""
        if "axes" in self.attributes:
            return list(self.attributes["axes"])
        return self.integers(place) if len(self.inputs) > place else None


Operators = Mapping[str, Callable[..., Any]]


class Graph:
    """Nodes in the order of the file, and the constants that they read."""

    def __init__(self, path: pathlib.Path):
        graph = onnx.load(path).graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.inputs = [entry.name for entry in graph.input if entry.name not in self.constants]
        self.outputs = [entry.name for entry in graph.output]
        self.nodes = self._with_dense([self._node(node) for node in graph.node])

    def _node(self, node: onnx.NodeProto) -> Node:
        if len(node.output) != 1 or node.domain:
            raise Refused(f"ONNX operator {node.op_type} is not written for it")
        return Node(
            operator=node.op_type,
            inputs=tuple(node.input),
            output=node.output[0],
            attributes={one.name: helper.get_attribute_value(one) for one in node.attribute},
            constants={k: self.constants[name] for k, name in enumerate(node.input) if name in self.constants},
        )

    def _with_dense(self, nodes: list[Node]) -> list[Node]:
        """MatMul and Add as one node where nothing else reads the product."""
        readers: dict[str, list[Node]] = {}
        for node in nodes:
            for name in node.inputs:
                readers.setdefault(name, []).append(node)
        made, gone = [], set()
        for node in nodes:
            if node.output in gone:
                continue
            after = readers.get(node.output, [])
            weight = node.constants.get(1)
            bias = after[0].constants.get(1) if len(after) == 1 and after[0].operator == "Add" else None
            if (
                node.operator == "MatMul"
                and weight is not None
                and weight.ndim == 2
                and bias is not None
                and bias.shape == weight.shape[1:]
            ):
                inputs, constants = (*node.inputs, after[0].inputs[1]), {1: weight, 2: bias}
                gone.add(after[0].output)
                node = dataclasses.replace(node, operator=DENSE, inputs=inputs, constants=constants, output=after[0].output)
            made.append(node)
        return made

    def check(self, operators: Operators) -> None:
        """Raise Refused when an operator is not among these."""
        if missing := sorted({node.operator for node in self.nodes} - operators.keys()):
            raise Refused(f"ONNX operator {missing[0]} is not written for it")

    def run(self, operators: Operators, constants: Mapping[str, Any], feeds: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs. operators: name -> function(node, *inputs); constants: in the framework's form."""
        values = {**constants, **feeds}
        for node in self.nodes:
            values[node.output] = operators[node.operator](node, *(values[name] for name in node.inputs))
        return {name: values[name] for name in self.outputs}
