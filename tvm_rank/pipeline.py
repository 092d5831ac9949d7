"""All passes, in order. Each phase is a point at which the module can be printed (`tvm-rank inspect --stage`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import tvm
from tvm import relax

from relay_passes.add_direct_entry import AddDirectEntry
from relay_passes.add_entries import AddEntries
from relay_passes.add_turns import AddTurns
from relay_passes.common_features import CommonFeatures
from relay_passes.dense_on_gpu import DenseOnGpu
from relay_passes.fold_scales import FoldScales
from relay_passes.fuse_dense import FuseDense
from relay_passes.fuse_norms import FuseNorms
from relay_passes.hoist_request_side import HoistRequestSide
from relay_passes.lower_columns import LowerColumns
from relay_passes.materialize_items import ITEM_VALUES, MaterializeItems
from relay_passes.reduce_dense import ReduceDense, Reduction
from relay_passes.remove_moves import RemoveMoves
from relay_passes.round_dense import RoundDense
from relay_passes.split_dense import SplitDense
from relay_passes.split_pairs import SplitPairs
from relay_passes.store_features import StoreFeatures
from relay_passes.tile_layers import TileLayers
from te_schedules.dense.tiles import GENERIC, tiles_for
from te_schedules.gpu.loops import threads_to_loops
from te_schedules.inline_fused import InlineFused
from te_schedules.lower import PIPELINE
from te_schedules.plain import LEGALIZATIONS
from tvm_rank import pipeline_gpu
from tvm_rank.schedule import PASSES, Schedule

IDS = "ids"  # what of the items is computed ahead by `StoreFeatures`; other levels are of `MaterializeItems`
NOTHING: Mapping[int, Reduction] = MappingProxyType({})

_CALLS: list[tvm.transform.Pass] = [
    relax.transform.RewriteDataflowReshape(),
    relax.transform.ToNonDataflow(),
    relax.transform.RemovePurityChecking(),
    relax.transform.CallTIRRewrite(),
]
_MACHINE: list[tvm.transform.Pass] = [
    relax.transform.StaticPlanBlockMemory(),
    relax.transform.LowerAllocTensor(),
    relax.transform.KillAfterLastUse(),
    relax.transform.LowerRuntimeBuiltin(),
    relax.transform.ComputePrimValue(),
    relax.transform.VMShapeLower(),
    relax.transform.AttachGlobalSymbol(),
]


def phases(
    target: tvm.target.Target,
    schedule: Schedule | None = None,
    key_form: str | None = None,
    materialize: str | None = None,
    reductions: Mapping[int, Reduction] = NOTHING,
    *,
    as_gpu: bool = False,
) -> dict[str, list[tvm.transform.Pass]]:
    """Phase -> passes. schedule: None for the defaults of the target · key_form: `text` or `number` with an item store, by its keys ·
    materialize: what of the items is computed ahead · reductions: dense layers in bf16 or int8, by number (`ReduceDense`) · as_gpu: for a
    CPU that scores as a GPU, with the GPU's layers, which `reductions` number and round (`RoundDense`)."""
    transform = relax.transform
    features: list[tvm.transform.Pass] = [StoreFeatures()] if materialize == IDS else []
    values: list[tvm.transform.Pass] = [MaterializeItems(materialize)] if materialize and materialize != IDS else []
    if pipeline_gpu.is_for(target, schedule):
        entries = [] if target.kind.name == "cuda" else [AddEntries(key_form=key_form)]
        loops = [threads_to_loops] if entries else []
        stored = pipeline_gpu.StoredPasses(features, values)
        return pipeline_gpu.phases(target, schedule, entries, reductions, stored) | {"lower": [*_CALLS, *_MACHINE, *loops]}
    return {
        "inline": [transform.InlinePrivateFunctions(), transform.CanonicalizeBindings(), transform.DeadCodeElimination(["main"])],
        "graph": (_as_gpu_passes if as_gpu else _graph_passes)(
            target, schedule or Schedule(), key_form, pipeline_gpu.StoredPasses(features, values), reductions
        ),
        "legalize": [
            transform.DecomposeOpsForInference(),
            transform.LegalizeOps(LEGALIZATIONS),
            transform.AnnotateTIROpPattern(),
            transform.FoldConstant(),
        ],
        "fuse": [transform.FuseOps(), transform.FuseTIR(), transform.DeadCodeElimination(["main"]), InlineFused()],
        "lower": [*_CALLS, AddDirectEntry(), *_MACHINE],
    }


def _graph_passes(
    target: tvm.target.Target,
    schedule: Schedule,
    key_form: str | None,
    stored: pipeline_gpu.StoredPasses,
    reductions: Mapping[int, Reduction],
) -> list[tvm.transform.Pass]:
    """The project's own passes."""
    tiles, knobs = schedule.dense or tiles_for(target), schedule.features
    ahead = [*stored.values, LowerColumns(ITEM_VALUES, knobs)] if stored.values else []
    optional = {
        "common_features": CommonFeatures(),
        "hoist_request_side": HoistRequestSide(),
        "split_pairs": SplitPairs(tiles),
        "split_dense": SplitDense(),
    }
    common, hoist, pairs, dense = ([] if name in schedule.without else [optional[name]] for name in PASSES)
    lowered = [
        TileLayers(schedule.kernels, schedule.trees),
        ReduceDense(reductions, target, matrix_unit=schedule.matrix_unit),
        LowerColumns(knobs=knobs, named=schedule.kernels),
        AddEntries(key_form=key_form),
        *([AddTurns(schedule.turns)] if schedule.turns else []),
    ]
    clean = [FuseNorms(), FoldScales(), RemoveMoves()]
    return [*clean, *common, *stored.features, *hoist, FuseDense(tiles), *pairs, *dense, *ahead, *lowered]


def _as_gpu_passes(
    _target: tvm.target.Target,
    schedule: Schedule,
    key_form: str | None,
    stored: pipeline_gpu.StoredPasses,
    reductions: Mapping[int, Reduction],
) -> list[tvm.transform.Pass]:
    """The passes of a GPU up to its dense layers, which are computed by the CPU's kernels, rounded; then kernels of the CPU."""
    optional = pipeline_gpu.OPTIONAL
    common, hoist = ([] if name in schedule.without else [optional[name]()] for name in optional)
    ahead = [*stored.values, LowerColumns(ITEM_VALUES)] if stored.values else []
    lowered = [RoundDense(reductions), LowerColumns(), AddEntries(key_form=key_form)]
    return [*common, *stored.features, *hoist, FuseDense(GENERIC), *ahead, *lowered]


def run(
    mod: tvm.IRModule,
    target: tvm.target.Target,
    after: Callable[[str, tvm.IRModule], None] | None = None,
    schedule: Schedule | None = None,
    key_form: str | None = None,
    materialize: str | None = None,
    reductions: Mapping[int, Reduction] = NOTHING,
    *,
    as_gpu: bool = False,
) -> tvm.IRModule:
    """Run all phases; `after(phase, module)` is called behind each of them. Options as of `phases`."""
    with target:
        for name, passes in phases(target, schedule, key_form, materialize, reductions, as_gpu=as_gpu).items():
            mod = tvm.transform.Sequential(passes, name=name)(mod)
            if after is not None:
                after(name, mod)
    return mod


def materialized(mod: tvm.IRModule, target: tvm.target.Target, schedule: Schedule, level: str) -> tvm.IRModule:
    """The module behind `MaterializeItems` or `StoreFeatures`, for what it says of the stored values; no kernel is made."""
    return _until((MaterializeItems, StoreFeatures), mod, target, {"schedule": schedule, "materialize": level}, is_included=True)


def reducible(mod: tvm.IRModule, target: tvm.target.Target, options: Mapping[str, Any]) -> tvm.IRModule:
    """The module before dense layers are reduced, for the layers that there are; options as of `run`."""
    return _until((ReduceDense, DenseOnGpu), mod, target, options, is_included=False)


def before_kernels(mod: tvm.IRModule, target: tvm.target.Target, options: Mapping[str, Any]) -> tvm.IRModule:
    """The module before the features of `main` become kernels, for what tuning builds of them; options as of `run`."""
    return _until((LowerColumns,), mod, target, options, is_last=True)


def _until(
    kinds: tuple[type, ...],
    mod: tvm.IRModule,
    target: tvm.target.Target,
    options: Mapping[str, Any],
    *,
    is_included: bool = False,
    is_last: bool = False,
) -> tvm.IRModule:
    """The module behind the passes before the first, or the last, of these kinds."""
    made = phases(target, **options)
    graph = made["graph"]
    found = [k for k, one in enumerate(graph) if isinstance(one, kinds)]
    until = found[-1 if is_last else 0] + is_included
    with target:
        return tvm.transform.Sequential([*made["inline"], *graph[:until]])(mod)


def with_kernels(mod: tvm.IRModule, kernels: Mapping[str, tvm.tirx.PrimFunc]) -> tvm.IRModule:
    """The module with these kernels, but for those whose name it has: a name says what a kernel is."""
    known = {var.name_hint for var in mod.get_global_vars()}
    more = {name: kernel for name, kernel in kernels.items() if name not in known}
    return tvm.IRModule({**dict(mod.functions_items()), **more}, attrs=mod.attrs, global_infos=mod.global_infos) if more else mod


def store_module(
    mod: tvm.IRModule, target: tvm.target.Target, schedule: Schedule, key_form: str, level: str | None
) -> tuple[tvm.IRModule, tvm.IRModule]:
    """The module of the library that makes the item store of a GPU's artifact, behind the passes of the graph and behind all. mod, level: as
    of `run`; without values that are computed ahead the library has kernels alone."""
    of_items = tvm.IRModule({})
    if level not in (None, IDS):
        found = dict(materialized(mod, target, schedule, str(level)).functions_items())
        of_items = tvm.IRModule({var: function for var, function in found.items() if var.name_hint == ITEM_VALUES})
    seen: dict[str, tvm.IRModule] = {}
    with target.host:
        for name, passes in pipeline_gpu.store_phases(key_form, [*_CALLS, *_MACHINE], schedule).items():
            of_items = seen[name] = tvm.transform.Sequential(passes, name=name)(of_items)
    return seen["graph"], of_items


def build(mod: tvm.IRModule, target: tvm.target.Target, key_form: str | None = None) -> relax.VMExecutable:
    """Machine code for a module that went through `run`. key_form: as of `phases`; a CPU's kernel that reads keys is in the module."""
    nothing = tvm.transform.Sequential([])
    if target.kind.name == "cuda":
        with target:
            return pipeline_gpu.build(mod, target, nothing, key_form)
    return relax.build(mod, target, relax_pipeline=nothing, tir_pipeline=PIPELINE)
