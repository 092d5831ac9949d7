"""Fused kernels: cheap operators are put into what reads them, exponentials are not, and the numbers stay the same."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax, s_tir, tirx

from te_schedules.inline_fused import InlineFused
from te_schedules.plain import LEGALIZATIONS

ROWS = 5


@pytest.fixture(scope="module")
def fused() -> tvm.IRModule:
    """gate * (x + y) - sigmoid(x + y), and a transposed product, as two fused kernels."""
    builder, rows = relax.BlockBuilder(), tirx.Var("N", "int64")
    x, y, gate = (relax.Var(name, relax.TensorType([rows, 3, 3], "float32")) for name in ("x", "y", "gate"))
    op, emit = relax.op, builder.emit
    with builder.function("main", [x, y, gate]):
        with builder.dataflow():
            total = emit(op.add(x, y))
            mixed = emit(op.subtract(emit(op.multiply(gate, total)), emit(op.sigmoid(total))))
            found = builder.emit_output(emit(op.multiply(mixed, emit(op.permute_dims(mixed, [0, 2, 1])))))
        builder.emit_func_output(found)
    transform = relax.transform
    passes = [transform.LegalizeOps(LEGALIZATIONS), transform.AnnotateTIROpPattern(), transform.FuseOps(), transform.FuseTIR()]
    return tvm.transform.Sequential(passes)(builder.get())


def blocks(mod: tvm.IRModule) -> list[str]:
    """The blocks of all fused kernels."""
    found = []
    for var, func in mod.functions_items():
        if isinstance(func, tirx.PrimFunc) and var.name_hint.startswith("fused_"):
            schedule = s_tir.Schedule(tvm.IRModule({"main": func}))
            found += [schedule.get(block).name_hint for block in schedule.get_child_blocks(schedule.get_sblock("root"))]
    return found


def test_only_exponentials_and_results_keep_a_loop(fused: tvm.IRModule):
    before, after = blocks(fused), blocks(InlineFused()(fused))
    assert {"T_add", "T_multiply", "sigmoid"} <= set(before)
    assert "sigmoid" in after
    assert "T_add" not in after
    assert len(after) < len(before)


def test_the_numbers_are_the_same(fused: tvm.IRModule):
    rng = np.random.default_rng(0)
    x, y, gate = (rng.standard_normal((ROWS, 3, 3), dtype=np.float32) for _ in range(3))
    machine = relax.VirtualMachine(tvm.compile(InlineFused()(fused), target="llvm"), tvm.cpu())
    found = machine["main"](*map(tvm.runtime.tensor, (x, y, gate))).numpy()
    mixed = gate * (x + y) - 1 / (1 + np.exp(-(x + y)))
    np.testing.assert_allclose(found, mixed * mixed.transpose(0, 2, 1), rtol=1e-5, atol=1e-6)
