"""The passes up to kernels for GPUs. Features are kernels of ours with a thread for each row of each column, trees one with a thread for each
row, dense layers one with warps that share sums (`te_schedules/gpu/dense.py`); the rest are TVM's operators, fused as on CPUs, with a thread
for each number of their results (`dlight.gpu.Fallback`).

What splits dense layers for CPU vectors is left out: `SplitPairs`, `SplitDense`, `ReduceDense`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

import tvm
from tvm import relax, tirx
from tvm.s_tir import dlight

from relay_passes.common_features import CommonFeatures
from relay_passes.dense_on_gpu import DenseOnGpu
from relay_passes.fuse_dense import FuseDense
from relay_passes.hoist_request_side import HoistRequestSide
from relay_passes.lower_columns import LowerColumns
from relay_passes.reduce_dense import Reduction
from relay_passes.tile_layers import TileLayers
from te_schedules import check_columns, pack_columns
from te_schedules.column_group.kernel import OPERATOR, RECOMPUTED, Knobs
from te_schedules.dense import GENERIC
from te_schedules.gpu.build import PIPELINE
from te_schedules.gpu.dense import NAME as DENSE
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
THREADS = 64  # of a block, unless a schedule says more

_AS_SOURCE = "TVM_COMPILE_FORCE_FALLBACK"
# whose limits TVM's rules look at when kernels for GPUs are made to run on a CPU
_ANY_GPU = {"kind": "cuda", "arch": "sm_80"}


def is_for(target: tvm.target.Target, schedule: Schedule | None) -> bool:
    """Whether the kernels are those of a GPU: for one, or, by the knob `threads` of features or trees, on a CPU, which
    runs their threads as loops."""
    return target.kind.name == "cuda" or (schedule is not None and (schedule.features.threads > 0 or schedule.trees.threads > 0))


def knobs_of(schedule: Schedule) -> Knobs:
    """The knobs of feature kernels on a GPU: a thread has one row, so it keeps nothing for others, and waits for what it asks for."""
    given = schedule.features
    return replace(given, threads=given.threads or max(THREADS, given.lanes), queue_ids=1, prefetch=False, intermediates=RECOMPUTED)


def phases(
    target: tvm.target.Target,
    schedule: Schedule | None,
    entries: list[tvm.transform.Pass],
    reductions: Mapping[int, Reduction],
) -> dict[str, list[tvm.transform.Pass]]:
    """Phase -> passes, by the names that the CPU's have, as far as these differ. `entries`: what adds functions to the graph ·
    reductions: dense layers below fp32, by number (`DenseOnGpu`)."""
    if reductions and target.kind.name != "cuda":
        raise TargetError(
            "kernels with the knob `threads` on a CPU have dense layers in fp32 only; leave out `precision`, or the knob"
        )
    transform, schedule = relax.transform, schedule or Schedule()
    optional = {"common_features": CommonFeatures(), "hoist_request_side": HoistRequestSide()}
    return {
        "inline": [transform.InlinePrivateFunctions(), transform.CanonicalizeBindings(), transform.DeadCodeElimination(["main"])],
        "graph": [
            *(one for name, one in optional.items() if name not in schedule.without),
            FuseDense(GENERIC),
            DenseOnGpu(reductions, schedule.gpu_dense, schedule.kernels, plain=target.kind.name != "cuda"),
            TileLayers({}, TreeKnobs(threads=schedule.trees.threads or THREADS)),
            LowerColumns(knobs=knobs_of(schedule)),
            *entries,
        ],
        "legalize": [
            transform.DecomposeOpsForInference(),
            transform.LegalizeOps(),
            transform.AnnotateTIROpPattern(),
            transform.FoldConstant(),
        ],
        "fuse": [
            transform.FuseOps(),
            transform.FuseTIR(),
            transform.DeadCodeElimination(["main"]),
            Scheduled(target if target.kind.name == "cuda" else tvm.target.Target(_ANY_GPU)),
        ],
    }


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


def build(mod: tvm.IRModule, target: tvm.target.Target, nothing: tvm.transform.Pass) -> relax.VMExecutable:
    """Code of a GPU, as source, and machine code of its host: the virtual machine, and what brings the columns of a request together."""
    with target.host:
        kernels = {kernel.attrs["global_symbol"]: kernel for kernel in (check_columns.prim_func(), pack_columns.prim_func())}
    mod = mod.clone()
    mod.update(tvm.IRModule(kernels))
    with _sources():
        return relax.build(mod, target, relax_pipeline=nothing, tir_pipeline=PIPELINE)


@contextlib.contextmanager
def _sources() -> Iterator[None]:
    """Meanwhile TVM keeps the source of kernels, also where it has a driver and would compile it: the artifact has the machine code in a
    file of its own (`tvm_rank/runtime/gpu.py`)."""
    before = os.environ.get(_AS_SOURCE)
    os.environ[_AS_SOURCE] = "1"
    try:
        yield
    finally:
        os.environ.pop(_AS_SOURCE) if before is None else os.environ.__setitem__(_AS_SOURCE, before)
