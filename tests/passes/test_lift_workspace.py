"""LiftWorkspace: memory between the kernels of a function becomes one more result of it, with the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax, tirx
from tvm.s_tir import dlight

from relay_passes.lift_workspace import LiftWorkspace
from te_schedules.gpu.loops import threads_to_loops

WIDTH = 5


def scheduled(*, twice: bool) -> tvm.IRModule:
    """Softmax, whose maxima and sums lie between its kernels; `twice` calls it again on what it gave."""
    builder, rows = relax.BlockBuilder(), tirx.Var("n", "int64")
    x = relax.Var("x", relax.TensorType([rows, WIDTH], "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit(relax.op.nn.softmax(x))
            y = builder.emit_output(relax.op.nn.softmax(y) if twice else y)
        builder.emit_func_output(y)
    mod = relax.transform.LegalizeOps()(builder.get())
    with tvm.target.Target({"kind": "cuda", "arch": "sm_80"}):
        return dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(mod)


@pytest.mark.parametrize("twice", [False, True])
def test_memory_inside_becomes_results(twice: bool):
    before = scheduled(twice=twice)
    after = LiftWorkspace()(before)
    function = after["softmax"]
    assert not function.body.block.alloc_buffers
    assert len(function.params) == len(before["softmax"].params) + 2
    tvm.ir.assert_structural_equal(after["main"].ret_ty, before["main"].ret_ty, map_free_vars=True)


def test_the_numbers_are_the_same():
    function = LiftWorkspace()(scheduled(twice=False))["softmax"]
    looped = threads_to_loops(tvm.IRModule({"softmax": function.with_attr("global_symbol", "softmax")}))
    built = tvm.tirx.build(looped, tvm.target.Target("llvm"))
    x = np.random.default_rng(0).normal(size=(7, WIDTH)).astype(np.float32)
    tensors = [tvm.runtime.tensor(array) for array in (x, np.zeros_like(x), np.zeros(7, np.float32), np.zeros(7, np.float32))]
    built["softmax"](*tensors)
    np.testing.assert_allclose(tensors[1].numpy(), np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), rtol=1e-5)


def test_a_module_without_such_memory_stays_as_it_is():
    once = LiftWorkspace()(scheduled(twice=False))
    tvm.ir.assert_structural_equal(LiftWorkspace()(once), once)
