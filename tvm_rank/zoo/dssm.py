"""DSSM: a tower for the user, a tower for the item, the cosine of what they give.

Huang et al. 2013, "Learning Deep Structured Semantic Models for Web Search using Clickthrough Data". Graph inputs: the groups `user` and
`item`. With an item store and `materialize="dense"` the item's tower is computed ahead.
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter

TEMPERATURE = 0.2


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides."""
    return [*shop.user_features(size), *shop.item_features(size)]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """sigmoid(cosine / temperature)."""
    side = shop.side_width(size)
    writer = LayerWriter("dssm", {"user": (side,), "item": (side,)}, rng)
    towers = []
    for name in ("user", "item"):
        hidden = writer.mlp(name, name, (side, *size.hidden[:-1]), "Tanh")
        towers.append(writer.normalized(writer.layer(hidden, f"{name}_out", size.hidden[-2], size.hidden[-1])))
    cosine = writer.sum(writer.node("Mul", *towers), 1, keepdims=True)
    return writer.model(writer.node("Div", cosine, writer.number(TEMPERATURE)))
