"""TensorFlow as a baseline: texts to scores in one tf.function, with TensorFlow's own hash, which is FarmHash too."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tvm_rank.bench.peers.features import CROSS_SEPARATOR, Part, read_parts
from tvm_rank.bench.peers.graph import DENSE, Graph, Node
from tvm_rank.bench.peers.ready import ready_inputs
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.bench.peers.serve import Contestant, Refused
from tvm_rank.frontend.safetensors_file import open_safetensors

LENGTHS = "__lengths"  # the name of a list's second tensor
Tensors = Mapping[str, Any]


def _slice(node: Node, x: Any, *_: Any) -> Any:
    starts, ends = node.integers(1), node.integers(2)
    axes = node.integers(3) if len(node.inputs) > 3 else range(len(starts))
    steps = node.integers(4) if len(node.inputs) > 4 else [1] * len(starts)
    cut = [slice(None)] * x.shape.rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(start, None if end >= 2**31 - 1 else end, step)
    return x[tuple(cut)]


def _reshape(node: Node, x: Any, *_: Any) -> Any:
    return tf.reshape(x, [tf.shape(x)[k] if extent == 0 else extent for k, extent in enumerate(node.integers(1))])


def _unsqueeze(node: Node, x: Any, *_: Any) -> Any:
    for axis in sorted(node.axes() or []):
        x = tf.expand_dims(x, axis)
    return x


def _reduced(how: Callable[..., Any]) -> Callable[..., Any]:
    return lambda node, x, *_: how(x, axis=node.axes(), keepdims=bool(node.attributes.get("keepdims", 1)))


def _expand(_node: Node, x: Any, shape: Any) -> Any:
    return tf.broadcast_to(x, tf.broadcast_dynamic_shape(tf.shape(x), shape))


OPERATORS: dict[str, Callable[..., Any]] = {
    DENSE: lambda _node, x, weight, bias: tf.nn.bias_add(tf.matmul(x, weight), bias) if x.shape.rank == 2 else x @ weight + bias,
    "Add": lambda _node, a, b: a + b,
    "Concat": lambda node, *values: tf.concat(values, axis=node.attributes["axis"]),
    "Div": lambda _node, a, b: a / b,
    "Expand": _expand,
    "Gather": lambda node, x, index: tf.gather(x, index, axis=node.attributes.get("axis", 0)),
    "Identity": lambda _node, x: tf.identity(x),
    "MatMul": lambda _node, a, b: tf.matmul(a, b),
    "Max": lambda _node, a, b: tf.maximum(a, b),
    "Mul": lambda _node, a, b: a * b,
    "ReduceMean": _reduced(tf.reduce_mean),
    "ReduceSum": _reduced(tf.reduce_sum),
    "Relu": lambda _node, x: tf.nn.relu(x),
    "Reshape": _reshape,
    "Shape": lambda _node, x: tf.shape(x),
    "Sigmoid": lambda _node, x: tf.sigmoid(x),
    "Slice": _slice,
    "Softmax": lambda node, x: tf.nn.softmax(x, axis=node.attributes.get("axis", -1)),
    "Squeeze": lambda node, x, *_: tf.squeeze(x, axis=node.axes()),
    "Sub": lambda _node, a, b: a - b,
    "Tanh": lambda _node, x: tf.tanh(x),
    "Transpose": lambda node, x: tf.transpose(x, perm=list(node.attributes["perm"])),
    "Unsqueeze": _unsqueeze,
}


class TensorFlow(Contestant):
    """Opened with the `folder`, `inputs`, `requests` and `threads`."""

    about = "string tensors from Arrow, then features (its own FarmHash), lookups and the model in one tf.function"

    def open(self, given: dict[str, Any]) -> None:
        self._given, folder = given, pathlib.Path(given["folder"])
        tf.config.threading.set_intra_op_parallelism_threads(given["threads"])
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.versions = {"tensorflow": tf.__version__}
        self._graph = Graph(folder / "model.onnx")
        self._graph.check(OPERATORS)
        self._constants = {name: tf.constant(value) for name, value in self._graph.constants.items()}
        self._model = tf.function(self._outputs, reduce_retracing=True)
        self.parts = ("all", "model")
        try:
            self._parts = read_parts(folder / "fg.json")
        except Refused as refused:
            self.parts, self.why_not = ("model",), str(refused)
            return
        self._tables = {
            name: tf.convert_to_tensor(table) for name, table in open_safetensors(folder / "tables.safetensors").items()
        }
        self._whole = tf.function(self._from_fields, reduce_retracing=True)

    def calls(self, items: int, part: str) -> list[Callable[[], dict[str, Any]]]:
        if part == "model":
            feeds = ready_inputs(self._given["inputs"], items)
            return [partial(self._run, {name: tf.constant(value) for name, value in feed.items()}) for feed in feeds]
        requests = read_requests(self._given["folder"], self._given["requests"], items)
        return [partial(self._rank, user, rows) for user, rows in requests]

    def _outputs(self, feeds: Tensors) -> dict[str, Any]:
        return self._graph.run(OPERATORS, self._constants, feeds)

    def _run(self, feeds: Tensors) -> dict[str, Any]:
        return {name: value.numpy() for name, value in self._model(feeds).items()}

    def _rank(self, user: pa.Table, items: pa.Table) -> dict[str, Any]:
        tensors: dict[str, Any] = {}
        for table in (user, items):
            for name in table.column_names:
                tensors |= _tensors(name, table.column(name).chunk(0))
        return {name: value.numpy() for name, value in self._whole(tensors, tf.constant(items.num_rows)).items()}

    def _from_fields(self, tensors: Tensors, count: Any) -> dict[str, Any]:
        of_input: dict[str, list[Any]] = {}
        for part in self._parts:
            made = getattr(self, f"_{part.kind}")(part, tensors)
            if part.request:
                made = tf.repeat(made, count, axis=0)
            of_input.setdefault(part.input, []).append(made)
        return self._outputs({name: tf.concat(values, axis=-1) for name, values in of_input.items()})

    def _hash(self, part: Part, tensors: Tensors) -> Any:
        (name,), table = part.fields, self._tables[part.table]
        ids = tf.strings.to_hash_bucket_fast(tensors[name], part.rows)
        if part.length:
            rows = tf.gather(table, ids[: part.length])
            return tf.pad(rows, [[0, part.length - tf.shape(rows)[0]], [0, 0]])[None]
        if name + LENGTHS not in tensors:
            return tf.gather(table, ids)
        lengths = tensors[name + LENGTHS]
        count = tf.shape(lengths)[0]
        of = tf.repeat(tf.range(count), lengths)
        return tf.raw_ops.SparseSegmentMeanWithNumSegments(data=table, indices=ids, segment_ids=of, num_segments=count)

    def _cross(self, part: Part, tensors: Tensors) -> Any:
        first, second = (tensors[name] for name in part.fields)
        ids = tf.strings.to_hash_bucket_fast(tf.strings.join([first[0], second], CROSS_SEPARATOR), part.rows)
        return tf.gather(self._tables[part.table], ids)

    def _number_id(self, part: Part, tensors: Tensors) -> Any:
        return tf.gather(self._tables[part.table], tensors[part.fields[0]])

    def _bucket(self, part: Part, tensors: Tensors) -> Any:
        boundaries = tf.constant(part.boundaries, tf.float32)
        return tf.gather(self._tables[part.table], tf.searchsorted(boundaries, tensors[part.fields[0]], side="right"))

    def _number(self, part: Part, tensors: Tensors) -> Any:
        return ((tf.math.log1p(tf.nn.relu(tensors[part.fields[0]])) - part.shift) / part.scale)[:, None]

    def _overlap(self, part: Part, tensors: Tensors) -> Any:
        query, title = (tensors[name] for name in part.fields)
        lengths = tensors[part.fields[1] + LENGTHS]
        count = tf.shape(lengths)[0]
        same = tf.cast(title[:, None] == query[None], tf.float32)
        found = tf.minimum(tf.math.unsorted_segment_sum(same, tf.repeat(tf.range(count), lengths), count), 1.0)
        return tf.reduce_mean(found, axis=1, keepdims=True)


def _tensors(name: str, column: pa.Array) -> dict[str, Any]:
    """A column as one tensor, a list as its values and their numbers."""
    if pa.types.is_list(column.type):
        lengths = tf.constant(np.diff(column.offsets.to_numpy()).astype(np.int32))
        return {**_tensors(name, column.flatten()), name + LENGTHS: lengths}
    if pa.types.is_string(column.type):
        return {name: tf.constant(np.array(column.to_pylist(), object), tf.string)}
    return {name: tf.constant(column.to_numpy())}
