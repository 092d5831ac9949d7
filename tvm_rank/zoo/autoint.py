"""AutoInt: self-attention over the fields.

Song et al. 2019, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks". Graph inputs: the groups `user`
and `item`.
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.fm import fields_of
from tvm_rank.zoo.onnx_attention import self_attention
from tvm_rank.zoo.onnx_layers import LayerWriter

ATTENTION_LAYERS = 2


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides."""
    return [*shop.user_features(size), *shop.item_features(size)]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """relu(attention(x) + x W), twice; then one layer."""
    side, width = shop.side_width(size), size.dim
    writer = LayerWriter("autoint", {"user": (side,), "item": (side,)}, rng)
    x = fields_of(writer, size)
    for k in range(ATTENTION_LAYERS):
        attended = self_attention(writer, x, f"attention{k}", positions=shop.FIELDS, width=width, heads=size.heads)
        residual = writer.node("MatMul", x, writer.weight(f"residual{k}", width, width, scale=width**-0.5))
        x = writer.node("Relu", writer.total(attended, residual))
    flat = writer.reshape(x, -1, shop.FIELDS * width)
    return writer.model(writer.layer(flat, "out", shop.FIELDS * width, 1, scale=4.0))
