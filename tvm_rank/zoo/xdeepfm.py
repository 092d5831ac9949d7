"""xDeepFM: a compressed interaction network, whose layers weigh all products of fields with the first ones, beside a network.

Lian et al. 2018, "xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender Systems". Graph inputs: the groups `user`
and `item`.
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.fm import fields_of
from tvm_rank.zoo.onnx_layers import LayerWriter

MAPS = (6, 4)  # feature maps of each layer


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides."""
    return [*shop.user_features(size), *shop.item_features(size)]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Maps x'[h] = relu(sum over i, j of w[h, i, j] x[i] * x0[j]), summed along the embedding."""
    side, fields = shop.side_width(size), shop.FIELDS
    writer = LayerWriter("xdeepfm", {"user": (side,), "item": (side,)}, rng)
    maps = first = fields_of(writer, size)
    count, sums = fields, []
    for k, wanted in enumerate(MAPS):
        outer = writer.node("Mul", writer.reshape(maps, -1, count, 1, size.dim), writer.reshape(first, -1, 1, fields, size.dim))
        outer = writer.reshape(outer, -1, count * fields, size.dim)
        weight = writer.weight(f"maps{k}", wanted, count * fields, scale=(count * fields) ** -0.5)
        maps, count = writer.node("Relu", writer.node("MatMul", weight, outer)), wanted
        sums.append(writer.sum(maps, 2))
    deep = writer.tower(writer.beside("user", "item"), "deep", (2 * side, *size.hidden))
    return writer.model(writer.total(deep, writer.layer(writer.beside(*sums), "out", sum(MAPS), 1)))
