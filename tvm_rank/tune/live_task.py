"""Tasks that are measured inside of requests: kernels of features, attention units and ensembles of trees."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import tvm
from tvm import relax

from relay_passes.graph import op_name
from relay_passes.lower_columns import SideKernel, side_kernels
from te_schedules.column_group.kernel import INTERMEDIATES, Knobs
from te_schedules.dense.tiles import DenseTiles
from te_schedules.feature.kind import procedures_of
from te_schedules.pair.kernel import PairLayers, pair_func
from te_schedules.pair.op import NAME as PAIR_LAYERS
from te_schedules.pair.op import layers_of
from te_schedules.procedure import prim_funcs
from te_schedules.trees.kernel import NAME as TREES
from te_schedules.trees.kernel import Forest, trees_func
from te_schedules.trees.knobs import SPACE as TREE_SPACE
from te_schedules.trees.knobs import TreeKnobs
from te_schedules.trees.op import forest_of
from tvm_rank.tune.calls import ARGUMENTS
from tvm_rank.tune.records import Choice
from tvm_rank.tune.requests import RequestData
from tvm_rank.tune.task import Shapes, Task, kernel_module

K = TypeVar("K", PairLayers, Forest)
FEATURES = "rank.features"
FIRST_CONSTANT, CONSTANTS = 1, ("ints", "floats", "bytes")  # arguments of a feature kernel, behind the descriptor table
ITEM_KERNEL = "item_features"
ONE_ROW = ("block_rows", "grain_rows")  # knobs that mean nothing for a request's own row


def feature_space(*, is_of_items: bool, threads: int) -> Mapping[str, Sequence[Any]]:
    """What is searched for a kernel of features on a CPU."""
    without = {*(() if is_of_items else ONE_ROW), *(("grain_rows",) if threads == 1 else ())}
    return {name: values for name, values in Knobs.space().items() if name not in without}


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where live kernels run: the folder of their artifact, and the requests."""

    artifact: pathlib.Path
    requests: RequestData
    threads: int

    def record(self, folder: pathlib.Path, rows: int, **entries: Any) -> None:
        """Write `arguments.json` (`live.LiveCall`)."""
        requests = self.requests.write(folder.parent, rows)
        told = {"artifact": str(self.artifact), "requests": str(requests), "constants": {}, "weights": {}, "outputs": 1, **entries}
        (folder / ARGUMENTS).write_text(json.dumps(told), encoding="utf-8")


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureKernel:
    """What tasks of the kernel of the features of one side have in common, wherever it is measured."""

    kernel: SideKernel
    knobs: Knobs
    calls: int = 1
    operator: str = FEATURES

    @functools.cached_property
    def name(self) -> str:
        return self.kernel.key

    @property
    def default(self) -> Choice:
        return dataclasses.asdict(self.knobs)

    @property
    def is_of_items(self) -> bool:
        """Whether its rows are items; else it has one, the request's."""
        return self.kernel.name == ITEM_KERNEL

    def shapes(self, choice: Choice, _rows: int) -> Shapes:
        return [[INTERMEDIATES.index(choice["intermediates"])]]

    def write_constants(self, folder: pathlib.Path) -> list[list[str]]:
        """For each of CONSTANTS the files of its values, one for each form of the kernel."""
        files: list[list[str]] = [[] for _ in CONSTANTS]
        for form in INTERMEDIATES:
            layout = self.kernel.lowered(dataclasses.replace(self.knobs, intermediates=form)).layout
            for names, constant in zip(files, CONSTANTS, strict=True):
                names.append(f"{constant}_{form}.npy")
                np.save(folder / names[-1], getattr(layout, constant))
        return files


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureTask(FeatureKernel):
    """It is measured inside of requests that wait in front of it."""

    place: Place

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return feature_space(is_of_items=self.is_of_items, threads=self.place.threads)

    def module(self, choice: Choice) -> tvm.IRModule:
        lowered = self.kernel.lowered(Knobs(**choice))
        return kernel_module(lowered.prim_func(self.kernel.name), prim_funcs(procedures_of(lowered.columns)))

    def record(self, folder: pathlib.Path, rows: int) -> None:
        constants = dict(enumerate(self.write_constants(folder), FIRST_CONSTANT))
        outputs = len(self.kernel.lowered(self.knobs).outputs)
        self.place.record(folder, rows, kernel=self.kernel.name, constants=constants, outputs=outputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class _CallTask(Generic[K]):
    """A kernel that the graph of a model calls, by what TVM's call says of it."""

    of: K
    calls: int
    place: Place

    @property
    def name(self) -> str:
        return self.of.name


@dataclass(frozen=True, kw_only=True, eq=False)
class PairTask(_CallTask[PairLayers]):
    """An attention unit."""

    operator: str = PAIR_LAYERS

    @property
    def default(self) -> Choice:
        return dataclasses.asdict(self.of.layers[0].tiles)

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return {name: values for layer in reversed(self.of.layers) for name, values in layer.space().items()}

    def _tiled(self, choice: Choice) -> PairLayers:
        tiles = DenseTiles(**choice)
        return dataclasses.replace(self.of, layers=tuple(dataclasses.replace(one, tiles=tiles) for one in self.of.layers))

    def module(self, choice: Choice) -> tvm.IRModule:
        return kernel_module(pair_func(self._tiled(choice)))

    def shapes(self, choice: Choice, _rows: int) -> Shapes:
        first, *further = self._tiled(choice).layers
        return [[layer.width] for layer in (first, first, *further)]

    def record(self, folder: pathlib.Path, rows: int) -> None:
        first, *further = self.of.layers
        weights = {3: first.units, 4: first.units} | {5 + 2 * k: layer.units for k, layer in enumerate(further)}
        self.place.record(folder, rows, kernel=self.name, weights=weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class TreeTask(_CallTask[Forest]):
    """An ensemble of trees."""

    operator: str = TREES

    @property
    def default(self) -> Choice:
        return dataclasses.asdict(self.of.knobs)

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return TREE_SPACE

    def module(self, choice: Choice) -> tvm.IRModule:
        return kernel_module(trees_func(dataclasses.replace(self.of, knobs=TreeKnobs(**choice))))

    def shapes(self, _choice: Choice, _rows: int) -> Shapes:
        return []

    def record(self, folder: pathlib.Path, rows: int) -> None:
        self.place.record(folder, rows, kernel=self.name)


CALL_TASKS: Mapping[str, tuple[type[PairTask | TreeTask], Callable[[Any], Any]]] = {
    PAIR_LAYERS: (PairTask, layers_of),
    TREES: (TreeTask, forest_of),
}


def live_tasks(mod: tvm.IRModule, schedule: Mapping[str, Any], place: Place) -> list[Task]:
    """The kernels of features, attention units and trees of a module before its features become kernels (`pipeline.before_kernels`);
    `schedule` as a manifest describes it."""
    found: list[Task] = []
    for kernel in side_kernels(mod):
        knobs = Knobs(**schedule["kernels"].get(kernel.key, schedule["features"]))
        found.append(FeatureTask(kernel=kernel, knobs=knobs, place=place))
    calls: dict[str, list[tuple[type[PairTask | TreeTask], Any]]] = {}
    for binding in (b for block in mod["main"].body.blocks for b in block.bindings):
        if isinstance(call := binding.value, relax.Call) and (known := CALL_TASKS.get(op_name(call) or "")):
            task, read = known
            of = read(call)
            calls.setdefault(of.name, []).append((task, of))
    return [*found, *(same[0][0](of=same[0][1], calls=len(same), place=place) for same in calls.values())]
