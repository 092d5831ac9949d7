"""Dense layers that round as a GPU's do, for a CPU, which judges there what they cost.

                                                  r = call_tir(round_K_precision, x)
    y = rank.dense(x, packed W, bias, ...)  ->    y = rank.dense(r, packed rounded W, bias, ...)

Products and sums are float32, as on the GPU, in another order. Which layers is the caller's choice, by their order in the graph.
"""

from __future__ import annotations

from collections.abc import Mapping

import tvm
from tvm import relax

from relay_passes.graph import dataflow, op_name, with_bindings
from relay_passes.reduce_dense import Reduction, stays
from te_schedules.dense import pack
from te_schedules.dense.op import NAME, layer_of
from te_schedules.dense.pack import unpack
from te_schedules.gpu.round_rows import name_of, prim_func
from te_schedules.gpu.rounded import rounded


@tvm.transform.module_pass(opt_level=0, name="rank.RoundDense")
class RoundDense:
    """See the module's text. reductions: number of a layer in `function` -> bf16, fp16 or tf32."""

    def __init__(self, reductions: Mapping[int, Reduction], function: str = "main"):
        self.reductions, self.function = reductions, function

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with those layers rounded; unchanged when there are none."""
        block = dataflow(mod[self.function])
        if block is None or not self.reductions:
            return mod
        rounder, number = _Rounder(mod), 0
        for binding in block.bindings:
            is_layer = op_name(binding.value) == NAME
            reduction = self.reductions.get(number) if is_layer else None
            number += is_layer
            if reduction is None or stays(binding.value, layer_of(binding.value)):
                rounder.bindings.append(binding)
            else:
                rounder.add(binding, reduction.precision)
        return with_bindings(rounder.builder.get(), self.function, rounder.bindings)


class _Rounder:
    def __init__(self, mod: tvm.IRModule):
        self.builder = relax.BlockBuilder(mod)
        self.bindings: list[relax.Binding] = []
        self._kernels: dict[str, tvm.ir.GlobalVar] = {}

    def add(self, binding: relax.VarBinding, precision: str) -> None:
        """The layer over rounded rows."""
        call, layer = binding.value, layer_of(binding.value)
        x, packed, *others = call.args
        name = name_of(layer.depth, precision)
        if name not in self._kernels:
            self._kernels[name] = self.builder.add_func(prim_func(layer.depth, precision), name)
        rows = relax.DataflowVar("rounded", x.ty)
        self.bindings.append(relax.VarBinding(rows, relax.call_tir(self._kernels[name], relax.Tuple([x]), x.ty)))
        weight = pack(rounded(unpack(packed.value.numpy(), layer.units), precision), layer.tiles)
        self.bindings.append(relax.VarBinding(binding.var, relax.Call(call.op, [rows, relax.const(weight), *others], call.attrs)))
