"""Inputs that a model declares and does not read: no feature, field or table is needed for them."""

from __future__ import annotations

import dataclasses

import tvm
from tvm import relax

from tvm_rank.frontend.dense_model import DenseModel


def without_unused_inputs(model: DenseModel) -> DenseModel:
    """The model with the inputs that its outputs depend on; with its first input, if they depend on none."""
    function = model.mod["main"]
    read = set(relax.analysis.free_vars(function.body))
    kept = [k for k, param in enumerate(function.params) if param in read] or [0]
    if len(kept) == len(model.inputs):
        return model
    params = [function.params[k] for k in kept]
    smaller = relax.Function(params, function.body, function.ret_ty, function.is_pure, function.attrs)
    others = {var: other for var, other in model.mod.functions_items() if var.name_hint != "main"}
    mod = tvm.IRModule({**others, "main": smaller})
    return dataclasses.replace(model, inputs=tuple(model.inputs[k] for k in kept), mod=mod)
