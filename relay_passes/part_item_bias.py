"""Dense layers whose sums begin with rows of what a store keeps, as a layer and a sum, for targets whose layers have one bias.

    y = rank.dense(x, W, b, part, item_rows) {relu}     ->     z = rank.dense(x, W, b) {none}
                                                               y = relu(z + take(part, item_rows))

On a GPU the rows, the sum and the activation are one kernel, behind that of the layer.
"""

from __future__ import annotations

import tvm
from tvm import relax

from relay_passes.graph import dataflow, op_name, with_bindings
from relay_passes.materialize_items import ACTIVATIONS
from te_schedules.dense.op import NAME, dense, layer_of

BIASES = 3  # the argument of a layer with which pairs of (part, rows) begin


@tvm.transform.module_pass(opt_level=0, name="rank.PartItemBias")
class PartItemBias:
    """See the module's text. `function` is the one to rewrite."""

    def __init__(self, function: str = "main"):
        self.function = function

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten; unchanged when no layer of it reads such rows."""
        block = dataflow(mod[self.function])
        if block is None or not any(_has_rows(binding.value) for binding in block.bindings):
            return mod
        bindings: list[relax.Binding] = []
        for binding in block.bindings:
            bindings += _parted(binding) if _has_rows(binding.value) else [binding]
        return with_bindings(mod, self.function, bindings)


def _has_rows(value: relax.Expr) -> bool:
    return op_name(value) == NAME and len(value.args) > BIASES


def _parted(binding: relax.VarBinding) -> list[relax.Binding]:
    builder, bindings = relax.BlockBuilder(), []

    def bound(value: relax.Expr) -> relax.Var:
        value = builder.normalize(value)
        bindings.append(relax.VarBinding(relax.DataflowVar("part", value.ty), value))
        return bindings[-1].var

    call, layer = binding.value, layer_of(binding.value)
    total = bound(dense(*call.args[:BIASES], units=layer.units, activation="none", tiles=layer.tiles))
    for part, rows in zip(call.args[BIASES::2], call.args[BIASES + 1 :: 2], strict=True):
        total = bound(relax.op.add(total, bound(relax.op.take(part, rows, axis=0, mode="clip"))))
    return [*bindings, relax.VarBinding(binding.var, builder.normalize(ACTIVATIONS[layer.activation](total)))]
