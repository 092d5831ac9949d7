"""ONNX Runtime as a baseline: the exported model as it is; features and lookups before it, with NumPy and pyfarmhash."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa

from tvm_rank.bench.peers.features import hashed_parts, inputs_of
from tvm_rank.bench.peers.ready import ready_inputs
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.bench.peers.serve import Contestant, Refused
from tvm_rank.frontend.safetensors_file import open_safetensors


class OnnxRuntime(Contestant):
    """Opened with the `folder`, `inputs`, `requests` and `threads`."""

    about = "features (pyfarmhash) and lookups (take, reduceat) with NumPy, then the ONNX file"

    def open(self, given: dict[str, Any]) -> None:
        self._given, folder = given, pathlib.Path(given["folder"])
        self.versions = {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = given["threads"], 1
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self._outputs = [entry.name for entry in self._session.get_outputs()]
        self.parts = ("all", "model")
        try:
            self._parts = hashed_parts(folder / "fg.json")
        except Refused as refused:
            self.parts, self.why_not = ("model",), str(refused)
        tables = open_safetensors(folder / "tables.safetensors")
        self._tables = {name: np.array(table) for name, table in tables.items()}  # in memory of its own, as a service has them

    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, Any]:
        return dict(zip(self._outputs, self._session.run(self._outputs, feeds), strict=True))

    def _rank(self, user: pa.Table, items: pa.Table) -> dict[str, Any]:
        return self._run(inputs_of(self._parts, self._tables, user, items))

    def calls(self, items: int, part: str) -> list[Callable[[], dict[str, Any]]]:
        if part == "model":
            return [partial(self._run, feeds) for feeds in ready_inputs(self._given["inputs"], items)]
        requests = read_requests(self._given["folder"], self._given["requests"], items)
        return [partial(self._rank, user, rows) for user, rows in requests]
