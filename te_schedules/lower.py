"""How kernels become machine code: the lowering of TIR for CPUs, registered with TVM under the name PIPELINE.

It is TVM's own list for schedulable TIR with `import_once`, and without what kernels here never need on a CPU (warps, shared memory,
asynchronous copies, small floats, software pipelines), and without what LLVM does again and faster: common subexpressions, hoisting of
conditions, dead code. On a feature kernel, with hundreds of small local buffers, those passes took longer than LLVM itself, and
CompactBufferAllocation, which has no block to compact there, took seconds.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx
from tvm.s_tir.pipeline import finalize_device_passes, finalize_host_passes

from te_schedules.import_once import import_once

PIPELINE = "rank.cpu"


def _passes() -> list[tvm.transform.Pass]:
    return [
        s_tir.transform.CanonicalizeLoop(),
        s_tir.transform.LowerInitBlock(),
        s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
        s_tir.transform.ConvertBlocksToOpaque(),
        s_tir.transform.LowerMatchBuffer(),
        s_tir.transform.LowerOpaqueBlock(),
        import_once,
        tirx.transform.FlattenBuffer(),
        tirx.transform.NarrowDataType(32),
        s_tir.transform.LoopPartition(),
        tirx.transform.VectorizeLoop(True),
        tirx.transform.StorageRewrite(),
        tirx.transform.UnrollLoop(),
        tirx.transform.StmtSimplify(),
        s_tir.transform.RewriteUnsafeSelect(),
        tirx.transform.VerifyMemory(),
        tirx.transform.AnnotateEntryFunc(),
        tirx.transform.SplitHostDevice(),
        tirx.transform.MakePackedAPI(),
    ]


def _pipeline():
    @tvm.transform.module_pass(opt_level=0, name=PIPELINE)
    def lower(mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        return tvm.transform.Sequential(_passes())(mod)

    return lower, finalize_host_passes, finalize_device_passes


tirx.register_tir_pipeline(PIPELINE, _pipeline)
