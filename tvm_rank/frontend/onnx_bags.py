"""EmbeddingBag as exporters write it, a loop over bags: found by what it reads, and proven by what it computes.

    ids (all ids), offsets (N) [, weights (all ids)]    y[n] = pool(table[ids[offsets[n] : offsets[n + 1]]] [* weights])
    ids (N, L)                                          y[n] = pool(table[ids[n]])             ->   input y (N, d), a lookup

PyTorch's two exporters write it differently, and other versions of them differently again. So the part of the graph between these inputs
and y is run by ONNX's own evaluator over small bags, and is a bag if, and only if, the results are those of a sum, a mean or a maximum. An id
that it treats in another way (`padding_idx`) is among its constants, and all of these are among the ids that it is tried with.
An empty bag is zeros, as in PyTorch; where the loop has something else (NaN for the mean of nothing, with the older exporter), the feature must
have an id in every row.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tvm_rank.frontend.dense_model import ModelInput, ModelLookup
from tvm_rank.frontend.onnx_operators import subgraphs, walk

COMBINERS: dict[str, Callable[..., np.ndarray]] = {"sum": np.sum, "mean": np.mean, "max": np.max}
SIZES = (3, 1, 4, 2)  # of the bags that a loop is tried with, in turn
RANDOM_IDS = 20  # in them, beside those that the loop may treat in another way
_BEHIND = ("ConcatFromSequence", "Cast", "Identity")
TOLERANCE = 1e-4


@dataclass(kw_only=True)
class Bags:
    """What was taken out: lookups by the name of the input that stands for each, the inputs that fed them, and their tables."""

    lookups: dict[str, ModelLookup] = field(default_factory=dict)
    given: dict[str, ModelInput] = field(default_factory=dict)
    tables: dict[str, np.ndarray] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)  # ids: rows of the smallest table that they read

    def entered(self, inputs: tuple[ModelInput, ...]) -> tuple[tuple[ModelInput, ...], tuple[ModelInput, ...]]:
        """The inputs of the model that is left, and those of the file."""
        rest = [replace(e, lookup=self.lookups.get(e.name), rows=_least(e.rows, self.rows.get(e.name))) for e in inputs]
        return tuple(rest), (*(entry for entry in rest if entry.lookup is None), *self.given.values())

    def add(self, bag: _Bag, name: str) -> None:
        """Enter one."""
        self.tables[bag.table] = bag.array
        self.rows[bag.ids] = min(len(bag.array), self.rows.get(bag.ids, len(bag.array)))
        self.lookups[name] = ModelLookup(ids=bag.ids, table=bag.table, combiner=bag.combiner, filled=bag.length)
        if not bag.length:
            for one, dtype in ((bag.ids, "int64"), (bag.offsets, "int64"), (bag.weights, "float32")):
                if one:
                    rows = self.rows[bag.ids] if one == bag.ids else None
                    needs_an_id = one == bag.ids and bag.needs_an_id
                    self.given[one] = ModelInput(name=one, dtype=dtype, shape=(), rows=rows, bag=bag.ids, needs_an_id=needs_an_id)


def _least(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)


def take_bags(model: onnx.ModelProto) -> Bags:
    """Replace every loop over bags by an input; the model is changed. A loop that is none stays."""
    bags = Bags()
    for loop in [node for node in model.graph.node if node.op_type == "Loop"]:
        if (bag := _bag(model, loop)) is not None:
            _replace(model.graph, bag)
            bags.add(bag, bag.output)
    for name in bags.given:
        if name not in _read(model.graph):
            _remove_input(model.graph, name)
    return bags


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bag:
    ids: str
    offsets: str
    weights: str
    length: int  # ids of each row where they are (N, L), else 0
    table: str
    array: np.ndarray
    combiner: str
    needs_an_id: bool
    output: str


def _bag(model: onnx.ModelProto, loop: onnx.NodeProto) -> _Bag | None:
    """The bag whose result a loop is, if it is one."""
    output = _end(model.graph, loop)
    nodes = _before(model.graph, output)
    read = {name for node in nodes for name in _reads(node)}
    inputs = [info for info in model.graph.input if info.name in read]
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in read]
    bodies = (body for node in nodes for attribute in node.attribute for body in subgraphs(attribute))
    gathered = {node.input[0] for node in (*nodes, *(n for body in bodies for n in walk(body))) if node.op_type == "Gather"}
    tables = [t for t in tensors if t.name in gathered and t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2]
    if len(tables) != 1 or any(info.type.WhichOneof("value") != "tensor_type" for info in inputs):
        return None
    part = _part(model, nodes, inputs, tensors, output)
    array = numpy_helper.to_array(tables[0])
    for roles in _roles(inputs):
        if combiner := _combiner(part, roles, array):
            needs_an_id = not roles["length"] and not _has_empty_bags(part, roles)
            return _Bag(**roles, table=tables[0].name, array=array, combiner=combiner, needs_an_id=needs_an_id, output=output)
    return None


def _end(graph: onnx.GraphProto, loop: onnx.NodeProto) -> str:
    """The value that the results of a loop are put together in."""
    name = loop.output[0]
    while True:
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type not in _BEHIND:
            return name
        name = readers[0].output[0]


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Every name that a node, or a node of a body of it, reads."""
    yield from node.input
    for attribute in node.attribute:
        for body in subgraphs(attribute):
            yield from (name for inner in walk(body) for name in inner.input)
            yield from (info.name for info in body.output)


def _before(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes that a value is made by, in order."""
    wanted, found = {output}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            found.append(node)
            wanted.update(_reads(node))
    return found[::-1]


def _part(model: onnx.ModelProto, nodes: list, inputs: list, tensors: list, output: str) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "part", inputs, [onnx.ValueInfoProto(name=output)], tensors)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _roles(inputs: list[onnx.ValueInfoProto]) -> Iterator[dict]:
    """What each input may be: ids, offsets, weights."""
    kinds = {info.name: (info.type.tensor_type.elem_type, list(info.type.tensor_type.shape.dim)) for info in inputs}
    integers = [name for name, (kind, _) in kinds.items() if kind == onnx.TensorProto.INT64]
    floats = [name for name, (kind, dims) in kinds.items() if kind == onnx.TensorProto.FLOAT and len(dims) == 1]
    if len(integers) == 1 == len(kinds) and len(kinds[integers[0]][1]) == 2:
        length = kinds[integers[0]][1][1].dim_value
        if length:
            yield {"ids": integers[0], "offsets": "", "weights": "", "length": length}
    if len(integers) == 2 and len(integers) + len(floats) == len(kinds) <= 3 and all(len(kinds[n][1]) == 1 for n in integers):
        for ids, offsets in (integers, integers[::-1]):
            yield {"ids": ids, "offsets": offsets, "weights": next(iter(floats), ""), "length": 0}


def _combiner(part: onnx.ModelProto, roles: dict, table: np.ndarray) -> str | None:
    """How the part pools, tried with small bags; None when it is no bag of these roles."""
    rng = np.random.default_rng(0)
    ids = np.append(_constants(part, len(table)), rng.integers(0, len(table), RANDOM_IDS))
    counts = np.resize(SIZES if not roles["length"] else [roles["length"]], len(ids))
    counts = counts[: 1 + np.searchsorted(np.cumsum(counts), len(ids))]
    starts = np.cumsum(counts) - counts
    ids = rng.permutation(np.resize(ids, counts.sum()))
    weights = rng.uniform(0.5, 2, len(ids)).astype(np.float32) if roles["weights"] else np.ones(len(ids), np.float32)
    found = _run(part, roles, ids.reshape(len(counts), -1) if roles["length"] else ids, starts, weights)
    rows = table[ids] * weights[:, None]
    for name, pool in COMBINERS.items():
        wanted = np.stack([pool(rows[start : start + count], axis=0) for start, count in zip(starts, counts, strict=True)])
        scale = float(np.abs(wanted).max())
        if found is not None and found.shape == wanted.shape and np.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE * scale):
            return name
    return None


def _has_empty_bags(part: onnx.ModelProto, roles: dict) -> bool:
    """True when a bag without ids, before and behind one with an id, is zeros."""
    found = _run(part, roles, np.zeros(1, np.int64), np.array([0, 0, 1]), np.ones(1, np.float32))
    return found is not None and found.shape[:1] == (3,) and not found[[0, 2]].any()


def _run(part: onnx.ModelProto, roles: dict, ids: np.ndarray, starts: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """The result of the part; None when it cannot be run: then it is not known to be a bag."""
    from onnx.reference import ReferenceEvaluator

    feeds = {roles["ids"]: ids}
    feeds |= {roles["offsets"]: starts} if roles["offsets"] else {}
    feeds |= {roles["weights"]: weights} if roles["weights"] else {}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return np.asarray(ReferenceEvaluator(part).run(None, feeds)[0])
    except Exception:  # it raises what it likes
        return None


def _constants(part: onnx.ModelProto, rows: int) -> np.ndarray:
    """Every integer that the part mentions, as an id; the first and the last id."""
    values = [np.array([0, -1])]
    for graph in _graphs(part.graph):
        tensors = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute if a.name == "value"]
        for tensor in (*graph.initializer, *tensors):
            if tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
                values.append(numpy_helper.to_array(tensor).reshape(-1))
    return np.unique(np.concatenate(values).astype(np.int64) % rows)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in subgraphs(attribute):
                yield from _graphs(body)


def _replace(graph: onnx.GraphProto, bag: _Bag) -> None:
    """The result of the loop as an input, without what made it."""
    for node in list(graph.node):
        if bag.output in node.output:
            graph.node.remove(node)
    while dead := [node for node in graph.node if not _read(graph).intersection(node.output)]:
        for node in dead:
            graph.node.remove(node)
    if bag.table not in _read(graph):
        kept = [tensor for tensor in graph.initializer if tensor.name != bag.table]
        del graph.initializer[:]
        graph.initializer.extend(kept)
    graph.input.append(helper.make_tensor_value_info(bag.output, onnx.TensorProto.FLOAT, ["N", bag.array.shape[1]]))


def _read(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node for name in _reads(node)} | {info.name for info in graph.output}


def _remove_input(graph: onnx.GraphProto, name: str) -> None:
    kept = [info for info in graph.input if info.name != name]
    del graph.input[:]
    graph.input.extend(kept)
