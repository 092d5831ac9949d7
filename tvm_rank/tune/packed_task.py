"""Tasks that run on servers which have TVM's runtime alone: kernels of features on packed requests, and ensembles of trees."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from relay_passes.graph import op_name
from relay_passes.lower_columns import side_kernels
from te_schedules.column_group.kernel import Argument, Knobs
from te_schedules.feature.kind import procedures_of
from te_schedules.procedure import prim_funcs
from te_schedules.replay import fill_table, place_columns
from te_schedules.trees.kernel import NAME as TREES
from te_schedules.trees.kernel import Forest, trees_func
from te_schedules.trees.knobs import SPACE as TREE_SPACE
from te_schedules.trees.knobs import TreeKnobs
from te_schedules.trees.op import forest_of
from tvm_rank.ops.table_rows import PAD_BYTES
from tvm_rank.target import ResolvedTarget
from tvm_rank.tune.calls import ARGUMENTS, ARRAY, FILL, OUTPUT, PLACE
from tvm_rank.tune.live_task import FeatureKernel, feature_space
from tvm_rank.tune.packed import REQUESTS, Packer
from tvm_rank.tune.records import Choice
from tvm_rank.tune.task import Shapes, Task, kernel_module


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedFeatureTask(FeatureKernel):
    """It is measured on packed requests, and tables whose rows are made where it runs."""

    packer: Packer
    target: ResolvedTarget
    threads: int

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return Knobs.gpu_space() if self.target.is_gpu else feature_space(is_of_items=self.is_of_items, threads=self.threads)

    def module(self, choice: Choice) -> tvm.IRModule:
        with self.target.tvm_target:
            lowered = self.kernel.lowered(Knobs(**choice))
            func = lowered.prim_func(self.kernel.name, PAD_BYTES)
            fills = {
                FILL.format(k): fill_table(*table, FILL.format(k)) for k, table in enumerate(_tables(lowered.inputs(PAD_BYTES)))
            }
            beside = {**prim_funcs(procedures_of(lowered.columns)), PLACE: place_columns(PLACE), **fills}
        return kernel_module(func, beside)

    def record(self, folder: pathlib.Path, rows: int) -> None:
        with self.target.tvm_target:
            lowered, count = self.kernel.lowered(self.knobs), rows if self.is_of_items else 1
        requests = []
        for number in range(REQUESTS):
            requests.append([f"words_{number}.npy", f"memory_{number}.npy"])
            for name, array in zip(requests[-1], self.packer.packed(number, rows, of_items=self.is_of_items), strict=True):
                np.save(folder / name, array)
        entries = {
            "requests": requests,
            "constants": self.write_constants(folder),
            "tables": [[[table_rows, width], dtype] for table_rows, width, dtype in _tables(lowered.inputs(PAD_BYTES))],
            "outputs": [[[count if extent == "rows" else extent for extent in one.shape], one.dtype] for one in lowered.outputs],
        }
        (folder / ARGUMENTS).write_text(json.dumps(entries), encoding="utf-8")


def _tables(arguments: Sequence[Argument]) -> list[tuple[int, int, str]]:
    return [(int(one.shape[0]), int(one.shape[1]), one.dtype) for one in arguments]


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedTreeTask:
    """An ensemble of trees, on features near the thresholds of its nodes, so that walks go everywhere."""

    forest: Forest
    constants: Sequence[np.ndarray]
    features: int
    target: ResolvedTarget
    request_side: bool
    calls: int
    operator: str = TREES

    @property
    def name(self) -> str:
        return self.forest.name

    @property
    def default(self) -> Choice:
        return dataclasses.asdict(self.forest.knobs)

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return TreeKnobs.gpu_space() if self.target.is_gpu else TREE_SPACE

    def module(self, choice: Choice) -> tvm.IRModule:
        with self.target.tvm_target:
            return kernel_module(trees_func(dataclasses.replace(self.forest, knobs=TreeKnobs(**choice))))

    def shapes(self, _choice: Choice, rows: int) -> Shapes:
        rows = self._rows(rows)
        return [[rows, self.features], *([*array.shape] for array in self.constants), [rows, self.forest.targets]]

    def _rows(self, rows: int) -> int:
        return 1 if self.request_side else rows

    def record(self, folder: pathlib.Path, rows: int) -> None:
        rng, rows = np.random.default_rng(rows), self._rows(rows)
        numbers = np.ascontiguousarray(self.constants[0][:, 0]).view(np.float32)
        numbers = numbers[np.isfinite(numbers)]
        x = rng.choice(numbers, size=(rows, self.features)) + rng.normal(size=(rows, self.features), scale=1e-3)
        entries: list[dict[str, Any]] = []
        for number, array in enumerate((x.astype(np.float32), *self.constants)):
            np.save(folder / f"{number}.npy", array)
            entries.append({"kind": ARRAY, "file": f"{number}.npy"})
        entries.append({"kind": OUTPUT, "shape": [rows, self.forest.targets], "dtype": "float32"})
        (folder / ARGUMENTS).write_text(json.dumps(entries), encoding="utf-8")


def packed_tasks(
    mod: tvm.IRModule,
    schedule: Mapping[str, Any],
    packer: Packer,
    target: ResolvedTarget,
    threads: int,
    on_requests: Container[str],
) -> list[Task]:
    """The kernels of features and trees of a module before its features become kernels (`pipeline.before_kernels`); `schedule` as a manifest
    describes it, `on_requests`: names of kernels that run once for a request."""
    found: list[Task] = []
    with target.tvm_target:
        for kernel in side_kernels(mod):
            knobs = Knobs(**schedule["kernels"].get(kernel.key, schedule["features"]))
            found.append(PackedFeatureTask(kernel=kernel, knobs=knobs, packer=packer, target=target, threads=threads))
    trees: dict[str, list[relax.Call]] = {}
    for binding in (b for block in mod["main"].body.blocks for b in block.bindings):
        if isinstance(call := binding.value, relax.Call) and op_name(call) == TREES:
            trees.setdefault(forest_of(call).name, []).append(call)
    for name, (call, *more) in trees.items():
        found.append(
            PackedTreeTask(
                forest=forest_of(call), constants=[constant.value.numpy() for constant in call.args[1:]],
                features=int(call.args[0].ty.shape.values[1]), target=target, request_side=name in on_requests, calls=1 + len(more),
            )
        )  # fmt: skip
    return found
