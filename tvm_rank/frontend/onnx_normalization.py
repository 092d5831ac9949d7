"""Converters of the normalizations. See onnx_converters.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from tvm_rank.frontend.onnx_values import Attributes, Inputs, NotConvertible, array_of, constant, is_constant, shape_of


def convert_batch_normalization(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """x * a + b, with a = scale / sqrt(var + epsilon) and b = bias - mean * a in float64, then rounded once."""
    if attrs.get("training_mode", 0):
        raise NotConvertible("it is in training mode; export in evaluation mode (model.eval())")
    if attrs["tvm_custom"]["num_outputs"] > 1:
        raise NotConvertible("its running mean and variance are used; export in evaluation mode (model.eval())")
    x, *parameters = inputs[:5]
    shape = shape_of(x)
    if shape is None or not all(map(is_constant, parameters)):
        raise NotConvertible("its scale, bias, mean and variance must be constants, and the rank of its input known")
    scale, bias, mean, variance = (array_of(p).astype(np.float64) for p in parameters)
    factor = scale / np.sqrt(variance + attrs.get("epsilon", 1e-5))
    offset = bias - mean * factor
    trailing = (slice(None), *[None] * (len(shape) - 2))
    dtype = str(x.ty.dtype)
    product = relax.op.multiply(x, constant(factor[trailing].astype(dtype)))
    return relax.op.add(product, constant(offset[trailing].astype(dtype)))


def convert_layer_normalization(_inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    if attrs["tvm_custom"]["num_outputs"] > 1:
        raise NotConvertible("its mean and its inverse deviation are used, which are not computed; compute them with ReduceMean")


def convert_lp_normalization(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """x / ||x||, and 0 where the norm is 0."""
    x, axis = inputs[0], [attrs.get("axis", -1)]
    squares = relax.op.multiply(x, x) if attrs.get("p", 2) == 2 else relax.op.abs(x)
    norm = relax.op.sum(squares, axis, keepdims=True)
    norm = relax.op.sqrt(norm) if attrs.get("p", 2) == 2 else norm
    zero, one = relax.const(0, x.ty.dtype), relax.const(1, x.ty.dtype)
    return relax.op.divide(x, relax.op.where(relax.op.equal(norm, zero), one, norm))
