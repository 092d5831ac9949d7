"""How kernels become machine code of a GPU: the lowering of TIR, registered with TVM under the name PIPELINE.

It is the list for CPUs (`te_schedules/lower.py`) with one binding for each thread index, and with vector loops as loops of scalars:
neighbours of a row need not be aligned as a GPU's vectors want it. Kernels here have no shared memory and no barriers.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import tvm
from tvm import s_tir, tirx
from tvm.s_tir.pipeline import finalize_device_passes, finalize_host_passes

from te_schedules.procedure import NOT_PACKED

PIPELINE = "rank.gpu"
_AS_SOURCE = "TVM_COMPILE_FORCE_FALLBACK"


@contextlib.contextmanager
def as_source() -> Iterator[None]:
    """Meanwhile TVM keeps the source of kernels, also where it has a driver and would compile it: their machine code is made by `cubin` of
    `compile.py`."""
    before = os.environ.get(_AS_SOURCE)
    os.environ[_AS_SOURCE] = "1"
    try:
        yield
    finally:
        os.environ.pop(_AS_SOURCE) if before is None else os.environ.__setitem__(_AS_SOURCE, before)


def _passes() -> list[tvm.transform.Pass]:
    return [
        s_tir.transform.CanonicalizeLoop(),
        s_tir.transform.LowerInitBlock(),
        s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
        s_tir.transform.ConvertBlocksToOpaque(),
        s_tir.transform.UnifyThreadBinding(),
        s_tir.transform.LowerMatchBuffer(),
        s_tir.transform.LowerOpaqueBlock(),
        tirx.transform.FlattenBuffer(),
        tirx.transform.NarrowDataType(32),
        tirx.transform.VectorizeLoop(False),
        tirx.transform.StorageRewrite(),
        tirx.transform.UnrollLoop(),
        tirx.transform.StmtSimplify(),
        s_tir.transform.RewriteUnsafeSelect(),
        tirx.transform.VerifyMemory(),
        tirx.transform.AnnotateEntryFunc(),
        tirx.transform.SplitHostDevice(),
        tirx.transform.MakePackedAPI(),
        _one_device,
    ]


@tirx.transform.prim_func_pass(opt_level=0, name="rank.OneDevice")
def _one_device(func: tirx.PrimFunc, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tirx.PrimFunc:
    """Procedures for the same target as the kernels that call them, which have none for a host any more: TVM makes a module of each."""
    if int(func.attrs.get("calling_conv", 0)) != NOT_PACKED:
        return func
    alone = {key: value for key, value in func.attrs["target"].export().items() if key != "host"}
    return func.with_attr("target", tvm.target.Target(alone))


def _pipeline():
    @tvm.transform.module_pass(opt_level=0, name=PIPELINE)
    def lower(mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        return tvm.transform.Sequential(_passes())(mod)

    return lower, finalize_host_passes, finalize_device_passes


tirx.register_tir_pipeline(PIPELINE, _pipeline)
