"""Dense layers on a GPU.

    y = rank.dense(x, packed, bias) {activation}   ->   y = call_tir(dense_KxJ_activation_precision, x, packed for lanes of warps, bias)

Which of them are below fp32 is the caller's choice, by their order in the graph, as of `ReduceDense`. Where kernels for GPUs are made to run
on a CPU, whose threads cannot wait for each other, layers become operators of Relax again, in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import tvm
from tvm import relax

from relay_passes.graph import dataflow, op_name, with_bindings
from relay_passes.reduce_dense import Reduction, stays
from te_schedules.dense.layer import Layer
from te_schedules.dense.op import NAME, layer_of
from te_schedules.dense.pack import unpack
from te_schedules.gpu.dense import GpuLayer, pack, prim_func
from te_schedules.gpu.dense_model import GpuDense

_ACTIVATIONS: Mapping[str, Callable[[relax.Expr], relax.Expr]] = {
    "relu": relax.op.nn.relu,
    "sigmoid": relax.op.sigmoid,
    "tanh": relax.op.tanh,
}


@tvm.transform.module_pass(opt_level=0, name="rank.DenseOnGpu")
class DenseOnGpu:
    """See the module's text. reductions: number of a layer in `main` -> bf16, fp16 or tf32 · knobs: of all layers, None for those that are
    modelled · named: of single kernels, by name; what else it holds is not looked at · plain: as operators of Relax."""

    def __init__(
        self,
        reductions: Mapping[int, Reduction],
        knobs: GpuDense | None = None,
        named: Mapping[str, Any] | None = None,
        *,
        plain: bool = False,
        function: str = "main",
    ):
        self.reductions, self.knobs, self.named, self.plain, self.function = reductions, knobs, named or {}, plain, function

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module without `rank.dense`."""
        block = dataflow(mod[self.function])
        if block is None or not any(op_name(binding.value) == NAME for binding in block.bindings):
            return mod
        placer, number = _Placer(mod), 0
        for binding in block.bindings:
            if op_name(binding.value) != NAME:
                placer.bindings.append(binding)
                continue
            layer, reduction = layer_of(binding.value), self.reductions.get(number)
            number += 1
            if self.plain:
                placer.plain(binding, layer)
                continue
            precision = "fp32" if reduction is None or stays(binding.value, layer) else reduction.precision
            placer.kernel(binding, self._made(layer, precision))
        return with_bindings(placer.builder.get(), self.function, placer.bindings)

    def _made(self, layer: Layer, precision: str) -> GpuLayer:
        made = GpuLayer(depth=layer.depth, units=layer.units, activation=layer.activation, precision=precision, knobs=self.knobs)
        named = self.named.get(made.name)
        return replace(made, knobs=named) if isinstance(named, GpuDense) else made


class _Placer:
    def __init__(self, mod: tvm.IRModule):
        self.builder = relax.BlockBuilder(mod)
        self.bindings: list[relax.Binding] = []
        self._kernels: dict[str, tvm.ir.GlobalVar] = {}

    def kernel(self, binding: relax.VarBinding, layer: GpuLayer) -> None:
        """The layer as a kernel."""
        x, packed, bias = binding.value.args
        if layer.name not in self._kernels:
            self._kernels[layer.name] = self.builder.add_func(prim_func(layer), layer.name)
        weight = relax.const(pack(unpack(packed.value.numpy(), layer.units), layer))
        call = relax.call_tir(self._kernels[layer.name], relax.Tuple([x, weight, bias]), binding.value.ty)
        self.bindings.append(relax.VarBinding(binding.var, call))

    def plain(self, binding: relax.VarBinding, layer: Layer) -> None:
        """The layer as it was before `FuseDense`."""
        x, packed, bias = binding.value.args
        weight = unpack(packed.value.numpy(), layer.units)
        value = relax.op.matmul(x, relax.const(np.ascontiguousarray(weight)))
        value = relax.op.add(self._bound(value), bias)
        if layer.activation in _ACTIVATIONS:
            value = _ACTIVATIONS[layer.activation](self._bound(value))
        self.bindings.append(relax.VarBinding(binding.var, self.builder.normalize(value)))

    def _bound(self, value: relax.Expr) -> relax.Var:
        value = self.builder.normalize(value)
        var = relax.DataflowVar("product", value.ty)
        self.bindings.append(relax.VarBinding(var, value))
        return var
