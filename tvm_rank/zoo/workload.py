"""A model of the zoo as it lies in a folder: the files that a user of the compiler brings, and requests to score."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
from safetensors.numpy import save_file

from tvm_rank.frontend.safetensors_file import open_safetensors

REQUEST_COLUMN = "request"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What `build` wrote into `folder`.

    `user` has one row per request; `items` has the items of all requests, request after request, and its int32 column `request`
    says which row of `user` an item belongs to. `model_name` is the entry of the zoo.
    """

    model_name: str
    folder: pathlib.Path

    @property
    def features(self) -> pathlib.Path:
        """The feature configuration, fg.json."""
        return self.folder / "fg.json"

    @property
    def model(self) -> pathlib.Path:
        """The dense model, ONNX."""
        return self.folder / "model.onnx"

    @property
    def tables(self) -> pathlib.Path:
        """The embedding tables, safetensors: one float32 array (rows, dim) per table."""
        return self.folder / "tables.safetensors"

    @property
    def user(self) -> pathlib.Path:
        """The user and context columns, an Arrow IPC file."""
        return self.folder / "user.arrow"

    @property
    def items(self) -> pathlib.Path:
        """The item columns and `request`, an Arrow IPC file."""
        return self.folder / "items.arrow"

    def read_user(self, request: int | None = None) -> pa.Table:
        """All rows of `user`, or the one of a request."""
        user = read_arrow(self.user)
        return user if request is None else user.slice(request, 1)

    def read_items(self, request: int | None = None) -> pa.Table:
        """All rows of `items`, or those of a request (then without the column `request`)."""
        items = read_arrow(self.items)
        if request is None:
            return items
        return items.filter(pa.array(request_of(items) == request)).drop_columns([REQUEST_COLUMN]).combine_chunks()

    def read_tables(self) -> dict[str, np.ndarray]:
        """Table name -> float32 (rows, dim), views of the file."""
        return open_safetensors(self.tables)

    def read_weights(self) -> dict[str, np.ndarray]:
        """Name -> value of every constant of the ONNX graph."""
        return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(self.model).graph.initializer}

    @classmethod
    def write(
        cls,
        *,
        model_name: str,
        folder: str | pathlib.Path,
        features: Mapping[str, Any],
        model: onnx.ModelProto,
        tables: Mapping[str, np.ndarray],
        user: pa.Table,
        items: pa.Table,
    ) -> Workload:
        """Write all five files into `folder`, which is made if need be; the same arguments give the same bytes."""
        workload = cls(model_name=model_name, folder=pathlib.Path(folder))
        workload.folder.mkdir(parents=True, exist_ok=True)
        workload.features.write_text(json.dumps(features, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        onnx.save(model, str(workload.model))
        save_file(dict(tables), workload.tables)
        write_arrow(workload.user, user)
        write_arrow(workload.items, items)
        return workload


def request_of(items: pa.Table) -> np.ndarray:
    """The row of the user table for every item, int32 (items,)."""
    return items.column(REQUEST_COLUMN).to_numpy()


def read_arrow(path: pathlib.Path) -> pa.Table:
    """An Arrow IPC file as a table whose columns are each one chunk."""
    with pa.OSFile(str(path)) as source:
        return pa.ipc.open_file(source).read_all().combine_chunks()


def write_arrow(path: pathlib.Path, table: pa.Table) -> None:
    """Write a table as an Arrow IPC file of one record batch."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
