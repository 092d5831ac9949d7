"""PyTorch as a baseline, eager: texts hashed by pyfarmhash, embeddings by embedding_bag, the layers of the exported model."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from tvm_rank.bench.peers.features import Part, Value, hashed_parts, values_of
from tvm_rank.bench.peers.graph import DENSE, Graph, Node
from tvm_rank.bench.peers.ready import ready_inputs
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.bench.peers.serve import Contestant, Refused
from tvm_rank.frontend.safetensors_file import open_safetensors


def _slice(node: Node, x: Tensor, *_: Any) -> Tensor:
    starts, ends = node.integers(1), node.integers(2)
    axes = node.integers(3) if len(node.inputs) > 3 else range(len(starts))
    steps = node.integers(4) if len(node.inputs) > 4 else [1] * len(starts)
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


def _reshape(node: Node, x: Tensor, *_: Any) -> Tensor:
    return x.reshape([x.shape[k] if extent == 0 else extent for k, extent in enumerate(node.integers(1))])


def _squeeze(node: Node, x: Tensor, *_: Any) -> Tensor:
    axes = node.axes()
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _unsqueeze(node: Node, x: Tensor, *_: Any) -> Tensor:
    for axis in sorted(node.axes() or []):
        x = x.unsqueeze(axis)
    return x


def _reduced(how: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(node: Node, x: Tensor, *_: Any) -> Tensor:
        return how(x, dim=node.axes(), keepdim=bool(node.attributes.get("keepdims", 1)))

    return call


OPERATORS: dict[str, Callable[..., Any]] = {
    DENSE: lambda _node, x, weight, bias: functional.linear(x, weight, bias),
    "Add": lambda _node, a, b: a + b,
    "Concat": lambda node, *values: torch.cat(values, dim=node.attributes["axis"]),
    "Div": lambda _node, a, b: a / b,
    "Expand": lambda _node, x, shape: x.expand(torch.broadcast_shapes(x.shape, tuple(shape))),
    "Gather": lambda node, x, index: torch.index_select(x, node.attributes.get("axis", 0), index),
    "Identity": lambda _node, x: x,
    "MatMul": lambda _node, a, b: a @ b,
    "Max": lambda _node, a, b: torch.maximum(a, b),
    "Mul": lambda _node, a, b: a * b,
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Relu": lambda _node, x: torch.relu(x),
    "Reshape": _reshape,
    "Shape": lambda _node, x: x.shape,
    "Sigmoid": lambda _node, x: torch.sigmoid(x),
    "Slice": _slice,
    "Softmax": lambda node, x: torch.softmax(x, dim=node.attributes.get("axis", -1)),
    "Squeeze": _squeeze,
    "Sub": lambda _node, a, b: a - b,
    "Tanh": lambda _node, x: torch.tanh(x),
    "Transpose": lambda node, x: x.permute(tuple(node.attributes["perm"])),
    "Unsqueeze": _unsqueeze,
}


class Torch(Contestant):
    """Opened with the `folder`, `inputs`, `requests` and `threads`."""

    about = "features (pyfarmhash, NumPy), lookups by index_select and embedding_bag, layers by torch, eager, in inference mode"

    def open(self, given: dict[str, Any]) -> None:
        self._given, folder = given, pathlib.Path(given["folder"])
        torch.set_num_threads(given["threads"])
        self.versions = {"torch": torch.__version__}
        self._graph = Graph(folder / "model.onnx")
        self._graph.check(OPERATORS)
        self._constants = {name: _tensor(value) for name, value in self._graph.constants.items()}
        for node in self._graph.nodes:
            if node.operator == DENSE:  # as nn.Linear keeps it
                self._constants[node.inputs[1]] = _tensor(np.ascontiguousarray(node.constants[1].T))
        self.parts = ("all", "model")
        try:
            self._parts = hashed_parts(folder / "fg.json")
        except Refused as refused:
            self.parts, self.why_not = ("model",), str(refused)
        tables = open_safetensors(folder / "tables.safetensors")
        self._tables = {
            name: _tensor(np.array(table)) for name, table in tables.items()
        }  # in memory of its own, as a service has them

    def calls(self, items: int, part: str) -> list[Callable[[], dict[str, Any]]]:
        if part == "model":
            feeds = ready_inputs(self._given["inputs"], items)
            return [partial(self._run, {name: _tensor(value) for name, value in feed.items()}) for feed in feeds]
        requests = read_requests(self._given["folder"], self._given["requests"], items)
        return [partial(self._rank, user, rows) for user, rows in requests]

    @torch.inference_mode()
    def _run(self, feeds: dict[str, Tensor]) -> dict[str, Any]:
        return {name: value.numpy() for name, value in self._graph.run(OPERATORS, self._constants, feeds).items()}

    @torch.inference_mode()
    def _rank(self, user: pa.Table, items: pa.Table) -> dict[str, Any]:
        of_input: dict[str, list[Tensor]] = {}
        for part, value in zip(self._parts, values_of(self._parts, user, items), strict=True):
            of_input.setdefault(part.input, []).append(self._embedded(part, value))
        count = items.num_rows
        rows = {name: [one.expand(count, *one.shape[1:]) for one in values] for name, values in of_input.items()}
        return self._run({name: torch.cat(values, dim=-1) for name, values in rows.items()})

    def _embedded(self, part: Part, value: Value) -> Tensor:
        if isinstance(value, np.ndarray):
            return torch.from_numpy(value)
        ids, table = torch.from_numpy(value.ids), self._tables[part.table]
        if part.length:
            made = torch.zeros((1, part.length, part.dim))
            made[0, : len(ids)] = torch.index_select(table, 0, ids[: part.length])
            return made
        if value.lengths is None:
            return torch.index_select(table, 0, ids)
        starts = torch.from_numpy((np.cumsum(value.lengths) - value.lengths).astype(np.int64))
        return functional.embedding_bag(ids, table, starts, mode="mean")


def _tensor(value: np.ndarray) -> Tensor:
    return torch.from_numpy(value if value.flags.writeable else value.copy())
