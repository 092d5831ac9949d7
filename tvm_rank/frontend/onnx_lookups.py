"""Embedding tables inside of a model: what reads their rows by an input of ids becomes an input, which `rank.lookup` feeds.

    e = Gather(table, ids)        ids (N) or (N, 1)     ->   input e (N, d): the row of each id
                                  ids (N, L)            ->   input e (N, L, d)
    s = ReduceSum(e, axes [1])    ids (N, L)            ->   input s (N, d): the rows of L ids pooled; also ReduceMean, ReduceMax

The table leaves the model and is one of the artifact's tables. Ids that come from an input are followed through casts and changes of their
shape, and through arithmetic with constants that changes no id of the table, as exporters write it for "a negative id counts from the end":
ONNX's own evaluator is asked for all ids. A Gather of ids that are computed in another way stays a Gather.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tvm_rank.frontend.dense_model import ModelInput, ModelLookup
from tvm_rank.frontend.onnx_nodes import copy_of, unused_name
from tvm_rank.frontend.onnx_operators import STANDARD_DOMAINS, walk

POOLING = {"ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "max"}
FIRST = "first"
_ARITHMETIC = frozenset(
    {"Add", "Sub", "Mul", "Mod", "Min", "Max", "Where", "Cast", "Identity", "Neg", "Abs", "Clip"}
    | {"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "Not", "And", "Or"}
)
MAX_PROVEN = 2**26  # rows of a table up to which all ids are tried

Shape = tuple[int, ...]  # without the batch


def take_lookups(model: onnx.ModelProto, inputs: tuple[ModelInput, ...]) -> tuple[tuple[ModelInput, ...], dict[str, np.ndarray]]:
    """The inputs of the model without its lookups, those that stand for lookups behind the others, and the tables (rows, d) by name.

    The model is changed; an input of ids stays, and may have no reader any more.
    """
    graph = _Graph(model)
    found = list(_lookups(graph, inputs))
    return (*inputs, *graph.replaced(found)), {name: graph.table(name) for name in dict.fromkeys(one.table for one in found)}


@dataclass(frozen=True, kw_only=True)
class _Lookup:
    """Rows of `table` by the input `ids`. `last`: the node whose output it is, of the shape (N, *shape), behind the `nodes` before it."""

    ids: ModelInput
    table: str
    dim: int
    combiner: str
    nodes: tuple[onnx.NodeProto, ...]
    shape: Shape

    @property
    def output(self) -> str:
        return str(self.nodes[-1].output[0])

    @property
    def own_shape(self) -> Shape:
        """Of the input that takes its place."""
        length = self.ids.shape if self.combiner == FIRST and self.ids.shape != (1,) else ()
        return (*length, self.dim)

    def lookup(self) -> ModelLookup:
        filled = self.ids.shape[0] if self.combiner != FIRST else 0
        return ModelLookup(ids=self.ids.name, table=self.table, combiner=self.combiner, filled=filled)


class _Graph:
    """A model with what is asked about its values."""

    def __init__(self, model: onnx.ModelProto):
        self.graph, self.opsets = model.graph, list(model.opset_import)
        self.tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.reads = Counter(name for node in walk(model.graph) for name in node.input)
        self.reads.update(info.name for info in model.graph.output)

    def ints(self, name: str) -> list[int] | None:
        """The numbers of a constant; None for another value."""
        tensor = self.tensors.get(name)
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor)).reshape(-1).tolist()

    def table(self, name: str) -> np.ndarray:
        """A table of the model as (rows, d); one of numbers is one column."""
        array = numpy_helper.to_array(self.tensors[name])
        return array.reshape(len(array), -1)

    def replaced(self, found: list[_Lookup]) -> list[ModelInput]:
        """The inputs that take the place of the lookups; without the nodes and tables that nobody reads any more."""
        made: dict[ModelLookup, ModelInput] = {}
        shaped = []
        used = {name for node in walk(self.graph) for name in (*node.input, *node.output)} | set(self.tensors)
        used |= {info.name for info in self.graph.input}
        for one in found:
            lookup = one.lookup()
            if lookup not in made:
                name = unused_name(f"{lookup.ids}_in_{lookup.table}", used)
                made[lookup] = ModelInput(name=name, dtype="float32", shape=one.own_shape, lookup=lookup)
            target = unused_name(f"{one.output}_shape", used)
            self.graph.initializer.append(numpy_helper.from_array(np.array([0, *one.shape], np.int64), target))
            shaped.append(helper.make_node("Reshape", [made[lookup].name, target], [one.output]))
        gone = [node for one in found for node in one.nodes]
        kept = [copy_of(node) for node in self.graph.node if not any(node is other for other in gone)]
        del self.graph.node[:]
        self.graph.node.extend([*shaped, *kept])
        for entry in made.values():
            self.graph.input.append(helper.make_tensor_value_info(entry.name, onnx.TensorProto.FLOAT, ["N", *entry.shape]))
        self._drop({one.table for one in found})
        return list(made.values())

    def _drop(self, tables: set[str]) -> None:
        read = {name for node in walk(self.graph) for name in node.input} | {info.name for info in self.graph.output}
        kept = [tensor for tensor in self.graph.initializer if tensor.name not in tables or tensor.name in read]
        if len(kept) < len(self.graph.initializer):
            del self.graph.initializer[:]
            self.graph.initializer.extend(kept)


def _lookups(graph: _Graph, inputs: tuple[ModelInput, ...]) -> Iterator[_Lookup]:
    """Every Gather of rows by an input of ids, with the reduction over its ids where that is all that reads it."""
    ids = {e.name: _Ids(e, e.shape) for e in inputs if e.dtype == "int64" and len(e.shape) <= 1 and not e.lookup}
    for node in graph.graph.node:
        if node.domain not in STANDARD_DOMAINS:
            continue
        if len(node.output) == 1 and (after := _ids_after(graph, node, ids)) is not None:
            ids[node.output[0]] = after
        if node.op_type == "Gather" and node.input[1] in ids and _is_table(graph, node):
            dims = tuple(graph.tensors[node.input[0]].dims)
            if not _keeps_ids(graph, ids[node.input[1]], dims[0]):
                continue
            entry, shape = ids[node.input[1]].entry, ids[node.input[1]].shape
            row = _Lookup(
                ids=entry,
                table=node.input[0],
                dim=dims[1] if len(dims) == 2 else 1,
                combiner=FIRST,
                nodes=(node,),
                shape=(*shape, *dims[1:]),
            )
            yield _pooled(graph, row) or row


@dataclass(frozen=True, eq=False)
class _Ids:
    """A value that is made of an input of ids, each number of the id in its place, by these nodes."""

    entry: ModelInput
    shape: Shape
    nodes: tuple[onnx.NodeProto, ...] = ()


def _ids_after(graph: _Graph, node: onnx.NodeProto, known: dict[str, _Ids]) -> _Ids | None:
    """The result of a node as ids of one input; None when it is none."""
    read = [known[name] for name in node.input if name in known]
    if not read or any(one.entry is not read[0].entry or one.shape != read[0].shape for one in read):
        return None
    others = [name for name in node.input if name and name not in known]
    if any(name not in graph.tensors for name in others):
        return None
    shape: Shape | None = read[0].shape
    if node.op_type not in _ARITHMETIC:
        shape = _shape_after(graph, node, read[0].shape) if node.input[0] in known else None
    elif any(len(graph.tensors[name].dims) > len(read[0].shape) + 1 or np.prod(graph.tensors[name].dims) != 1 for name in others):
        return None
    nodes = {id(one): one for before in read for one in before.nodes}
    return None if shape is None else _Ids(read[0].entry, shape, (*nodes.values(), node))


def _keeps_ids(graph: _Graph, ids: _Ids, rows: int) -> bool:
    """True when the value is the id itself for every id of a table of so many rows."""
    if all(node.op_type not in _ARITHMETIC or node.op_type == "Identity" for node in ids.nodes):
        return True
    if rows > MAX_PROVEN:
        return False
    width = int(np.prod(ids.entry.shape, dtype=int))
    every = np.minimum(np.arange(-(-rows // width) * width), rows - 1)
    read = {name for node in ids.nodes for name in node.input}
    tensors = [tensor for name, tensor in graph.tensors.items() if name in read]
    given, found = (
        helper.make_tensor_value_info(n, onnx.TensorProto.INT64, None) for n in (ids.entry.name, ids.nodes[-1].output[0])
    )
    part = helper.make_graph(ids.nodes, "part", [given], [found], tensors)
    return np.array_equal(
        _evaluated(helper.make_model(part, opset_imports=graph.opsets), given.name, every.reshape(-1, *ids.entry.shape)), every
    )


def _evaluated(part: onnx.ModelProto, name: str, ids: np.ndarray) -> np.ndarray:
    from onnx.reference import ReferenceEvaluator

    return np.reshape(ReferenceEvaluator(part).run(None, {name: ids})[0], -1)


def _is_table(graph: _Graph, node: onnx.NodeProto) -> bool:
    """float32 of one or two axes, read along the first one."""
    tensor = graph.tensors.get(node.input[0])
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) not in (1, 2) or 0 in tensor.dims:
        return False
    return axis in (0, -len(tensor.dims))


def _pooled(graph: _Graph, row: _Lookup) -> _Lookup | None:
    """The lookup with the reduction over all ids of a row that is the only reader of its rows; None when there is no such one."""
    if graph.reads[row.output] != 1 or len(row.ids.shape) != 1 or row.ids.shape == (1,) or row.shape[:1] != row.ids.shape:
        return None
    (reader,) = graph.readers.get(row.output, [None])  # None: it is read by a body, or is an output
    if reader is None or reader.op_type not in POOLING or reader.domain not in STANDARD_DOMAINS:
        return None
    attributes = {a.name: helper.get_attribute_value(a) for a in reader.attribute}
    axes = attributes.get("axes") if len(reader.input) < 2 else graph.ints(reader.input[1])
    if axes is None or [axis % (len(row.shape) + 1) for axis in axes] != [1]:
        return None
    kept = (1,) if attributes.get("keepdims", 1) else ()
    return _Lookup(
        ids=row.ids,
        table=row.table,
        dim=row.dim,
        combiner=POOLING[reader.op_type],
        nodes=(*row.nodes, reader),
        shape=(*kept, *row.shape[1:]),
    )


def _shape_after(graph: _Graph, node: onnx.NodeProto, shape: Shape) -> Shape | None:
    """The shape of ids behind a node that keeps them; None for a node that does not, or may mix them with the batch."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Flatten":
        return (int(np.prod(shape, dtype=int)),) if attributes.get("axis", 1) == 1 else None
    if node.op_type not in ("Reshape", "Squeeze", "Unsqueeze"):
        return None
    given = attributes.get("axes") if len(node.input) < 2 else graph.ints(node.input[1])
    if given is None:
        return None
    if node.op_type == "Reshape":
        return _reshaped(given, shape, is_zero_an_extent=bool(attributes.get("allowzero", 0)))
    rank = len(shape) + 1 + (len(given) if node.op_type == "Unsqueeze" else 0)
    axes = {axis % rank for axis in given}
    if 0 in axes:
        return None
    if node.op_type == "Squeeze":
        return tuple(extent for axis, extent in enumerate(shape, 1) if axis not in axes)
    rest = iter(shape)
    return tuple(1 if axis in axes else next(rest) for axis in range(1, rank))


def _reshaped(target: list[int], shape: Shape, *, is_zero_an_extent: bool) -> Shape | None:
    """(N, *shape) reshaped, if the batch stays the first axis."""
    if not target or target[0] not in (-1, 0) or (is_zero_an_extent and 0 in target):
        return None
    rest = [shape[k] if extent == 0 and k < len(shape) else extent for k, extent in enumerate(target[1:])]
    size = int(np.prod(shape, dtype=int))
    if -1 in rest and target[0] == 0:
        known = -int(np.prod(rest, dtype=int))
        rest = [size // known if extent == -1 else extent for extent in rest] if known > 0 else rest
    return tuple(rest) if int(np.prod(rest, dtype=int)) == size and all(extent > 0 for extent in rest) else None
