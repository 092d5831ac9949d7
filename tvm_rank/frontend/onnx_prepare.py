"""Rewrites on the ONNX graph before TVM sees it: functions inlined, constants as initializers, safe names."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import inliner, numpy_helper

from tvm_rank.errors import ModelError
from tvm_rank.frontend.onnx_nodes import copy_of, unused_name
from tvm_rank.frontend.onnx_operators import node_name, subgraphs


def inline_functions(model: onnx.ModelProto, source: str) -> onnx.ModelProto:
    """The model with its local functions expanded: each is a body of standard operators, or shows which it needs."""
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the inliner's errors share no base class
        raise ModelError(source, [f"its local functions cannot be inlined: {error}"]) from error


def inline_constant_branches(model: onnx.ModelProto) -> None:
    """Replace each If whose condition is a constant by the branch that it takes. Exporters write such nodes around Squeeze."""
    while True:
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        taken = next((n for n in model.graph.node if n.op_type == "If" and n.input[0] in constants), None)
        if taken is None:
            return
        condition = bool(np.all(numpy_helper.to_array(constants[taken.input[0]])))
        _replace_by_branch(model.graph, taken, "then_branch" if condition else "else_branch")
        constants_to_initializers(model)


def _replace_by_branch(graph: onnx.GraphProto, node: onnx.NodeProto, name: str) -> None:
    branch = next(a.g for a in node.attribute if a.name == name)
    used = {value for n in graph.node for value in n.output} | {t.name for t in graph.initializer}
    rename = {
        n: unused_name(n, used) for n in [*(t.name for t in branch.initializer), *(v for n in branch.node for v in n.output if v)]
    }
    nodes = []
    for inner in graph.node:
        if list(inner.output) != list(node.output):
            nodes.append(inner)
            continue
        for copied in branch.node:
            _rename_values(copied, rename)
            nodes.append(copied)
        for mine, outer in zip(branch.output, node.output, strict=True):
            nodes.append(onnx.helper.make_node("Identity", [rename.get(mine.name, mine.name)], [outer]))
    nodes = [copy_of(n) for n in nodes]
    for tensor in branch.initializer:
        graph.initializer.add().CopyFrom(tensor)
        graph.initializer[-1].name = rename[tensor.name]
    del graph.node[:]
    graph.node.extend(nodes)


def _rename_values(node: onnx.NodeProto, names: dict[str, str]) -> None:
    """Rename what the node reads and writes, in the graphs that it holds too."""
    node.input[:] = [names.get(v, v) for v in node.input]
    node.output[:] = [names.get(v, v) for v in node.output]
    for attribute in node.attribute:
        for body in subgraphs(attribute):
            for inner in body.node:
                _rename_values(inner, names)
            for info in (*body.input, *body.output, *body.initializer):
                info.name = names.get(info.name, info.name)


def constants_to_initializers(model: onnx.ModelProto) -> list[str]:
    """Turn Constant nodes into initializers, in all their forms (TVM reads `value` alone); return the problems found."""
    return _with_initializers(model.graph)


def _names_made(graph: onnx.GraphProto) -> Iterator[str]:
    """Every value that a graph, or one inside of it, makes or takes."""
    yield from (entry.name for entry in (*graph.initializer, *graph.input))
    for node in graph.node:
        yield from node.output
        yield from (name for attribute in node.attribute for body in subgraphs(attribute) for name in _names_made(body))


def _with_initializers(graph: onnx.GraphProto) -> list[str]:
    """The same for a graph, and for those inside of its nodes."""
    problems, kept = [], []
    for node in graph.node:
        for attribute in node.attribute:
            problems += [problem for body in subgraphs(attribute) for problem in _with_initializers(body)]
        if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
            kept.append(copy_of(node))
            continue
        value = _constant_value(node)
        if value is None:
            problems.append(f"Constant {node_name(node)} holds text or a sparse tensor; only dense numbers are supported")
        else:
            graph.initializer.append(numpy_helper.from_array(value, name=node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    return problems


def _constant_value(node: onnx.NodeProto) -> np.ndarray | None:
    for attribute in node.attribute:
        if attribute.name == "value" and attribute.t.data_type != onnx.TensorProto.STRING:
            return numpy_helper.to_array(attribute.t)
        if attribute.name in ("value_float", "value_floats"):
            return np.asarray(onnx.helper.get_attribute_value(attribute), dtype=np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.asarray(onnx.helper.get_attribute_value(attribute), dtype=np.int64)
    return None


def safe_names(model: onnx.ModelProto) -> dict[str, str]:
    """Give every value and node a short unique identifier; return {node's new name: how the file names it}.

    TVM's importer changes names that are no identifiers, so that two can become one. Values become v0, v1, ...; inputs keep
    their name as far as it can be an identifier, so that a printed module can be read. A name inside of a body that is also one
    outside is not looked for: ONNX forbids it.
    """
    graph = model.graph
    names: dict[str, str] = {"": ""}
    used: set[str] = {"N", "main"}
    for info in graph.input:
        names[info.name] = unused_name(re.sub(r"\W|^(?=\d)", "_", info.name, flags=re.ASCII) or "_", used)
    for value in _names_made(graph):
        if value not in names:
            names[value] = unused_name(f"v{len(names)}", used)
    for entry in (*graph.input, *graph.output, *graph.initializer):
        entry.name = names.get(entry.name, entry.name)
    described = {}
    for number, node in enumerate(graph.node):
        described[f"node{number}"] = f"{node.op_type} {node_name(node)}"
        _rename_values(node, names)
        node.name = f"node{number}"
    del graph.quantization_annotation[:]
    return described
