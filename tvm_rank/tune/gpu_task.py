"""Tasks of a GPU: dense layers, whose knobs say up to how many rows a launch takes which form."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm

from te_schedules.gpu.dense import NAME, GpuLayer, pack, prim_func
from te_schedules.gpu.dense_model import SPACE, GpuDense
from tvm_rank.tune.calls import ARGUMENTS, ARRAY, OUTPUT
from tvm_rank.tune.records import Choice
from tvm_rank.tune.task import Shapes, Task, kernel_module
from tvm_rank.tune.timed import ENTRY


@dataclass(frozen=True, kw_only=True)
class GpuDenseTask:
    """A dense layer on a GPU, on random numbers: their values make no difference to its time."""

    layer: GpuLayer
    calls: int
    request_side: bool = False  # runs on one row, whatever the batch
    operator: str = NAME

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def default(self) -> Choice:
        return dataclasses.asdict(self.layer.chosen)

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return {name: tuple(sorted({*values, self.default[name]})) for name, values in SPACE.items()}

    def module(self, choice: Choice) -> tvm.IRModule:
        return kernel_module(prim_func(dataclasses.replace(self.layer, knobs=GpuDense(**choice)), ENTRY))

    def shapes(self, _choice: Choice, rows: int) -> Shapes:
        layer, rows = self.layer, 1 if self.request_side else rows
        return [[rows, layer.depth], list(layer.packed_shape), [layer.units], [rows, layer.units]]

    def record(self, folder: pathlib.Path, rows: int) -> None:
        rng, layer, rows = np.random.default_rng(rows), self.layer, 1 if self.request_side else rows
        weight = rng.normal(size=(layer.depth, layer.units), scale=layer.depth**-0.5).astype(np.float32)
        arrays = {
            "x": rng.normal(size=(rows, layer.depth)).astype(np.float32),
            "weight": pack(weight, layer),  # in one order, whatever the knobs are
            "bias": rng.normal(size=layer.units).astype(np.float32),
        }
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        entries: list[dict[str, Any]] = [{"kind": ARRAY, "file": f"{name}.npy"} for name in arrays]
        entries.append({"kind": OUTPUT, "shape": [rows, layer.units], "dtype": "float32"})
        (folder / ARGUMENTS).write_text(json.dumps(entries), encoding="utf-8")


def gpu_dense_tasks(kernels: Sequence[Mapping[str, Any]], request_kernels: Container[str]) -> list[Task]:
    """The dense layers for a GPU among the kernels of a manifest, but those of few outputs, which have no knobs; those named in
    `request_kernels` run once for a request."""
    return [
        GpuDenseTask(layer=GpuLayer.of(entry["layer"]), calls=int(entry["calls"]), request_side=entry["name"] in request_kernels)
        for entry in kernels
        if entry.get("operator") == NAME and entry.get("calls") and "layer" in entry
    ]
