"""The passes up to kernels for GPUs. Features are kernels of ours with a thread for each row of each column, trees one with a thread for each
row, dense layers one with warps that share sums (`te_schedules/gpu/dense.py`); the rest are TVM's operators, fused as on CPUs, with a thread
for each number of their results (`dlight.gpu.Fallback`).

What splits dense layers for CPU vectors is left out: `SplitPairs`, `SplitDense`, `ReduceDense`. What makes an item store is a library for
the host, from the same graph (`store_phases`): there may be no GPU where it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import tvm
from tvm import relax, tirx
from tvm.s_tir import dlight

from relay_passes.add_entries import AddStoreEntries
from relay_passes.common_features import CommonFeatures
from relay_passes.dense_on_gpu import DenseOnGpu
from relay_passes.fuse_dense import FuseDense
from relay_passes.hoist_request_side import HoistRequestSide
from relay_passes.lift_workspace import LiftWorkspace
from relay_passes.lower_columns import LowerColumns
from relay_passes.materialize_items import ITEM_VALUES
from relay_passes.part_item_bias import PartItemBias
from relay_passes.reduce_dense import Reduction
from relay_passes.tile_layers import TileLayers
from te_schedules import check_columns, pack_columns
from te_schedules.column_group.kernel import OPERATOR, RECOMPUTED, Knobs
from te_schedules.dense import GENERIC
from te_schedules.gpu.build import PIPELINE, as_source
from te_schedules.gpu.dense import NAME as DENSE
from te_schedules.inline_fused import InlineFused
from te_schedules.item_store import index
from te_schedules.item_store.read_field import NAME as READ_FIELD
from te_schedules.plain import LEGALIZATIONS
from te_schedules.trees import TreeKnobs
from te_schedules.trees.kernel import NAME as TREES
from tvm_rank.errors import TargetError
from tvm_rank.schedule import Schedule

FEATURES = "rank.features"
OF_THREADS = (
    FEATURES,
    TREES,
    DENSE,
    "rank.check_columns",
    "rank.guard_columns",
    "rank.bind_columns",
)  # the last three are the host's
TAKE, INJECTIVE = "relax.take", 2  # TVM's operator, and its kind of those that move numbers
THREADS = 64  # of a block, unless a schedule says more
OPTIONAL = {
    "common_features": CommonFeatures,
    "hoist_request_side": HoistRequestSide,
}  # a schedule may leave them out, by these names


class StoredPasses(NamedTuple):
    """Passes that take out of the graph what an item store keeps of features, and of the values behind them."""

    features: list[tvm.transform.Pass]
    values: list[tvm.transform.Pass]


# whose limits TVM's rules look at when kernels for GPUs are made to run on a CPU
_ANY_GPU = {"kind": "cuda", "arch": "sm_80"}


def is_for(target: tvm.target.Target, schedule: Schedule | None) -> bool:
    """Whether the kernels are those of a GPU: for one, or, by the knob `threads` of features or trees, on a CPU, which
    runs their threads as loops."""
    return target.kind.name == "cuda" or (schedule is not None and (schedule.features.threads > 0 or schedule.trees.threads > 0))


def knobs_of(schedule: Schedule) -> Knobs:
    """The knobs of feature kernels on a GPU."""
    return on_threads(schedule.features)


def on_threads(given: Knobs) -> Knobs:
    """Knobs as a GPU has them: a thread has one row, so it keeps nothing for others, and waits for what it asks for."""
    return replace(given, threads=given.threads or max(THREADS, given.lanes), queue_ids=1, prefetch=False, intermediates=RECOMPUTED)


def _with_threads(knobs: Any) -> Any:
    """The knobs of a single kernel, as a GPU has them."""
    if isinstance(knobs, TreeKnobs):
        return replace(knobs, threads=knobs.threads or THREADS)
    return on_threads(knobs) if isinstance(knobs, Knobs) else knobs


def phases(
    target: tvm.target.Target,
    schedule: Schedule | None,
    entries: list[tvm.transform.Pass],
    reductions: Mapping[int, Reduction],
    stored: StoredPasses,
) -> dict[str, list[tvm.transform.Pass]]:
    """Phase -> passes, by the names that the CPU's have, as far as these differ. `entries`: what adds functions to the graph ·
    reductions: dense layers below fp32, by number (`DenseOnGpu`) · stored: what takes values of an item store out of the graph."""
    if reductions and target.kind.name != "cuda":
        raise TargetError(
            "kernels with the knob `threads` on a CPU have dense layers in fp32 only; leave out `precision`, or the knob"
        )
    transform, schedule = relax.transform, schedule or Schedule()
    common, hoist = ([] if name in schedule.without else [made()] for name, made in OPTIONAL.items())
    named = {name: _with_threads(knobs) for name, knobs in schedule.kernels.items()}
    ahead = MainAlone() if target.kind.name == "cuda" else LowerColumns(ITEM_VALUES, knobs_of(schedule))
    return {
        "inline": [transform.InlinePrivateFunctions(), transform.CanonicalizeBindings(), transform.DeadCodeElimination(["main"])],
        "graph": [
            *[*common, *stored.features, *hoist],
            FuseDense(GENERIC),
            *([*stored.values, ahead, PartItemBias()] if stored.values else []),
            DenseOnGpu(reductions, schedule.gpu_dense, schedule.kernels, plain=target.kind.name != "cuda"),
            TileLayers(named, TreeKnobs(threads=schedule.trees.threads or THREADS)),
            LowerColumns(knobs=knobs_of(schedule), named=named),
            *entries,
        ],
        "legalize": [
            transform.DecomposeOpsForInference(),
            transform.LegalizeOps({READ_FIELD: _rows_of_store, TAKE: _taken}),
            transform.AnnotateTIROpPattern(),
            transform.FoldConstant(),
        ],
        "fuse": [
            transform.FuseOps(),
            transform.FuseTIR(),
            transform.DeadCodeElimination(["main"]),
            Scheduled(target if target.kind.name == "cuda" else tvm.target.Target(_ANY_GPU)),
            LiftWorkspace(),
        ],
    }


def store_phases(key_form: str, lower: list[tvm.transform.Pass], schedule: Schedule) -> dict[str, list[tvm.transform.Pass]]:
    """Phase -> passes over a module with the values of items alone, or with nothing, to the library of the host that makes the item store.
    lower: those of every target."""
    transform = relax.transform
    return {
        "graph": [TileLayers({}), LowerColumns(ITEM_VALUES, on_host(schedule)), AddStoreEntries(key_form)],
        "legalize": [
            transform.DecomposeOpsForInference(),
            transform.LegalizeOps(LEGALIZATIONS),
            transform.AnnotateTIROpPattern(),
            transform.FoldConstant(),
        ],
        "fuse": [transform.FuseOps(), transform.FuseTIR(), InlineFused()],
        "lower": lower,
    }


def on_host(schedule: Schedule) -> Knobs:
    """The knobs of feature kernels that make the item store of a GPU."""
    return replace(schedule.features, threads=0)


@tvm.transform.module_pass(opt_level=0, name="rank.MainAlone")
class MainAlone:
    """Without the function of the values of items, which is the host's."""

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module; unchanged when nothing is computed ahead."""
        functions = {var: function for var, function in mod.functions_items() if var.name_hint != ITEM_VALUES}
        return tvm.IRModule(functions, attrs=mod.attrs, global_infos=mod.global_infos)


def _taken(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """As TVM has it, but with the note that each number comes from one place: so it is fused with what reads the rows, a concatenation
    above all, where TVM itself makes a kernel of it."""
    made = call.op.get_attr("FLegalize")(builder, call)
    if (target := made.args[0]) is not None and isinstance(target, tvm.ir.GlobalVar):
        builder.update_func(target, builder.get()[target].with_attr("op_pattern", INJECTIVE))
    return made


def _rows_of_store(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Rows of what a store keeps."""
    return _taken(builder, builder.normalize(relax.op.take(*call.args, axis=0, mode="clip")))


@tvm.transform.module_pass(opt_level=0, name="rank.Scheduled")
class Scheduled:
    """Threads for every kernel that has none."""

    def __init__(self, target: tvm.target.Target):
        self.target = target

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with its kernels scheduled; ours are as they are."""
        mod = mod.clone()
        for name, func in mod.functions_items():
            if isinstance(func, tirx.PrimFunc) and (OPERATOR in func.attrs or "calling_conv" in func.attrs):
                operator = str(func.attrs.get(OPERATOR, FEATURES))
                if operator not in OF_THREADS and self.target.kind.name == "cuda":
                    raise TargetError(f"operator {operator} of the model has no kernel for GPUs yet; compile it for a CPU")
                mod[name] = func.with_attr("tirx.is_scheduled", True)
        with self.target:
            return dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(mod)


def build(
    mod: tvm.IRModule, target: tvm.target.Target, nothing: tvm.transform.Pass, key_form: str | None = None
) -> relax.VMExecutable:
    """Code of a GPU, as source, and machine code of its host: the virtual machine, what brings the columns of a request together, and, with
    the form of the keys of an item store, what finds its rows."""
    with target.host:
        kernels = [check_columns.prim_func(), pack_columns.prim_func()]
        if key_form is not None:
            kernels.append(index.find_rows(key_form).with_attr("tirx.is_host_func", True))
    mod = mod.clone()
    mod.update(tvm.IRModule({kernel.attrs["global_symbol"]: kernel for kernel in kernels}))
    with as_source():
        return relax.build(mod, target, relax_pipeline=nothing, tir_pipeline=PIPELINE)
