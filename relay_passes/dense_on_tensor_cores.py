"""Dense layers in bf16 on a GPU.

    y = rank.dense(x, packed, bias) {activation}   ->   y = call_tir(dense_KxJ_activation_bf16, x, packed for tensor cores, bias)

Which layers is the caller's choice, by their order in the graph, as of `ReduceDense`; the others, and those of few outputs, become
operators of Relax again, in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tvm
from tvm import relax

from relay_passes.graph import dataflow, op_name, with_bindings
from relay_passes.reduce_dense import Reduction, stays
from te_schedules.dense.layer import Layer
from te_schedules.dense.op import NAME, layer_of
from te_schedules.dense.pack import unpack
from te_schedules.gpu.dense import TensorCoreLayer, pack, prim_func

_ACTIVATIONS: Mapping[str, Callable[[relax.Expr], relax.Expr]] = {
    "relu": relax.op.nn.relu,
    "sigmoid": relax.op.sigmoid,
    "tanh": relax.op.tanh,
}


@tvm.transform.module_pass(opt_level=0, name="rank.DenseOnTensorCores")
class DenseOnTensorCores:
    """See the module's text. reductions: number of a layer in `main` -> bf16."""

    def __init__(self, reductions: Mapping[int, Reduction], function: str = "main"):
        self.reductions, self.function = reductions, function

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
            layer = layer_of(binding.value)
            if number in self.reductions and not stays(binding.value, layer):
                placer.on_tensor_cores(binding, layer)
            else:
                placer.plain(binding, layer)
            number += 1
        return with_bindings(placer.builder.get(), self.function, placer.bindings)


class _Placer:
    def __init__(self, mod: tvm.IRModule):
        self.builder = relax.BlockBuilder(mod)
        self.bindings: list[relax.Binding] = []
        self._kernels: dict[str, tvm.ir.GlobalVar] = {}

    def on_tensor_cores(self, binding: relax.VarBinding, layer: Layer) -> None:
        """The layer as a kernel."""
        x, packed, bias = binding.value.args
        made = TensorCoreLayer(depth=layer.depth, units=layer.units, activation=layer.activation)
        if made.name not in self._kernels:
            self._kernels[made.name] = self.builder.add_func(prim_func(made), made.name)
        weight = relax.const(pack(unpack(packed.value.numpy(), layer.units)))
        call = relax.call_tir(self._kernels[made.name], relax.Tuple([x, weight, bias]), binding.value.ty)
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
