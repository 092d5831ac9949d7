"""Tasks: the kernels of a model that have knobs."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tvm

from te_schedules.dense import DenseTiles, Layer, dense_func
from te_schedules.dense.layer import LAYER
from tvm_rank.tune.calls import ARGUMENTS, ARRAY, OUTPUT, WEIGHT
from tvm_rank.tune.records import Choice
from tvm_rank.tune.timed import ENTRY

Shapes = list[list[int]]
DENSE = "rank.dense"


class Task(Protocol):
    """A kernel to tune."""

    @property
    def name(self) -> str:
        """The kernel's name."""

    @property
    def operator(self) -> str:
        """What it computes."""

    @property
    def calls(self) -> int:
        """How often a request calls it."""

    @property
    def default(self) -> Choice:
        """All knobs of the kernel as it is."""

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        """The knobs that are searched, with their values."""

    def module(self, choice: Choice) -> tvm.IRModule:
        """The kernel with these knobs, as the function ENTRY. Raises ValueError for knobs that it cannot have."""

    def shapes(self, choice: Choice, rows: int) -> Shapes:
        """The shapes of its arguments for so many items."""

    def record(self, folder: pathlib.Path, rows: int) -> None:
        """Write the arguments of a call with so many items (`calls.ArrayCall`)."""


@dataclass(frozen=True, kw_only=True)
class DenseTask:
    """A dense layer, on random numbers: their values make no difference to its time."""

    layer: Layer
    calls: int
    request_side: bool = False  # runs on one row, whatever the batch
    operator: str = DENSE

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def default(self) -> Choice:
        return dataclasses.asdict(self.layer.tiles)

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return self.layer.space()

    def _tiled(self, choice: Choice) -> Layer:
        return dataclasses.replace(self.layer, tiles=DenseTiles(**choice))

    def module(self, choice: Choice) -> tvm.IRModule:
        return kernel_module(dense_func(self._tiled(choice), ENTRY))

    def shapes(self, choice: Choice, rows: int) -> Shapes:
        layer = self._tiled(choice)
        x, packed = [self._rows(rows), layer.depth], [layer.panels, layer.depth, layer.width]
        biases = [[1, layer.units], [self._rows(rows)]] * (layer.has_row_bias + layer.has_item_bias)
        return [x, packed, [layer.units], *biases, [self._rows(rows), layer.units]]

    def _rows(self, rows: int) -> int:
        return 1 if self.request_side else rows

    def record(self, folder: pathlib.Path, rows: int) -> None:
        rng, layer, rows = np.random.default_rng(rows), self.layer, self._rows(rows)
        weight = rng.normal(size=(layer.depth, layer.units), scale=layer.depth**-0.5)
        arrays = {"x": rng.normal(size=(rows, layer.depth)), "weight": weight, "bias": rng.normal(size=layer.units)}
        for k in range(layer.has_row_bias + layer.has_item_bias):
            arrays |= {f"bias{k}": rng.normal(size=(1, layer.units)), f"index{k}": np.zeros(rows)}
        entries: list[dict[str, Any]] = []
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array.astype(np.int32 if name.startswith("index") else np.float32))
            entries.append({"kind": WEIGHT if name == "weight" else ARRAY, "file": f"{name}.npy"})
        entries.append({"kind": OUTPUT, "shape": [rows, layer.units], "dtype": "float32"})
        (folder / ARGUMENTS).write_text(json.dumps(entries), encoding="utf-8")


def kernel_module(func: tvm.tirx.PrimFunc, others: Mapping[str, tvm.tirx.PrimFunc] | None = None) -> tvm.IRModule:
    """A module with the kernel as ENTRY. Two with the same code are structurally equal: what describes its knobs is left out."""
    if LAYER in func.attrs:
        func = func.without_attr(LAYER)
    return tvm.IRModule({**(others or {}), ENTRY: func.with_attr("global_symbol", ENTRY)})


def dense_tasks(kernels: Sequence[Mapping[str, Any]], request_kernels: Container[str]) -> list[Task]:
    """The dense layers among the kernels of a manifest; those named in `request_kernels` run once for a request."""
    return [
        DenseTask(layer=Layer.of(entry["layer"]), calls=int(entry["calls"]), request_side=entry["name"] in request_kernels)
        for entry in kernels
        if entry.get("operator") == DENSE and entry.get("calls") and "layer" in entry
    ]
