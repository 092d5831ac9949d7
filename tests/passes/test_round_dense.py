"""Layers that round as a GPU's do, on a CPU."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax, tirx

from relay_passes.reduce_dense import Reduction
from relay_passes.round_dense import RoundDense
from te_schedules.dense import GENERIC, pack
from te_schedules.dense.op import dense
from tvm_rank import pipeline
from tvm_rank.ops import reduced_dense

DEPTH, UNITS = 12, 16


def test_rounding_is_fused_with_what_gives_the_rows():
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((DEPTH, UNITS), np.float32), rng.standard_normal(UNITS, np.float32)
    builder, rows = relax.BlockBuilder(), tirx.Var("N", "int64")
    x = relax.Var("x", relax.TensorType([rows, DEPTH], "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            constants = relax.const(pack(weight, GENERIC)), relax.const(bias)
            layer = dense(builder.emit(relax.op.add(x, x)), *constants, units=UNITS, activation="none", tiles=GENERIC)
            out = builder.emit_output(layer)
        builder.emit_func_output(out)
    target = tvm.target.Target("llvm")
    mod = RoundDense({0: Reduction("bf16")})(builder.get())
    phases = pipeline.phases(target)
    with target:
        mod = tvm.transform.Sequential([*phases["legalize"], *phases["fuse"]])(mod)
        assert {"fused_add_round_12_bf16"} < {var.name_hint for var in mod.get_global_vars()}
        mod = tvm.transform.Sequential(phases["lower"])(mod)
    given = rng.standard_normal((5, DEPTH), np.float32)
    got = relax.VirtualMachine(pipeline.build(mod, target), tvm.cpu())["main"](tvm.runtime.tensor(given))
    wanted = reduced_dense.reference(2 * given, weight, bias, activation="none", precision="bf16")
    np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=1e-5)
