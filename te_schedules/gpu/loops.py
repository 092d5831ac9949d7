"""The threads of a GPU as loops of a CPU: how code for GPUs is run, and compared with its reference, where there is none.

Kernels whose threads wait for each other (barriers, shared memory) cannot be run so.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx

_PARALLEL = "blockIdx.x"


@tirx.transform.prim_func_pass(opt_level=0, name="rank.ThreadsToLoops")
def threads_to_loops(func: tirx.PrimFunc, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tirx.PrimFunc:
    """A kernel with a loop in the place of each thread index; blocks of the x axis are a loop that CPU threads share."""
    return func.with_body(_loops(func.body))


def _loops(stmt: tirx.Stmt) -> tirx.Stmt:
    if isinstance(stmt, tirx.SeqStmt):
        return tirx.SeqStmt([_loops(part) for part in stmt.seq])
    if isinstance(stmt, tirx.For):
        if stmt.kind != tirx.ForKind.THREAD_BINDING:
            return tirx.For(stmt.loop_var, stmt.min, stmt.extent, stmt.kind, _loops(stmt.body), None, stmt.annotations)
        is_shared = stmt.thread_binding.thread_tag == _PARALLEL
        kind = tirx.ForKind.PARALLEL if is_shared else tirx.ForKind.SERIAL
        return tirx.For(stmt.loop_var, stmt.min, stmt.extent, kind, _loops(stmt.body))
    if isinstance(stmt, s_tir.SBlockRealize):
        return s_tir.SBlockRealize(stmt.iter_values, stmt.predicate, _loops(stmt.block))
    if isinstance(stmt, s_tir.SBlock):
        parts = (stmt.alloc_buffers, stmt.match_buffers, stmt.annotations)
        return s_tir.SBlock(stmt.iter_vars, stmt.reads, stmt.writes, stmt.name_hint, _loops(stmt.body), stmt.init, *parts)
    return stmt
