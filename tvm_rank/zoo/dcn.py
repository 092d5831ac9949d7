"""DCN v2: layers that cross their input with itself, beside a network.

Wang et al. 2021, "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems", the parallel
form. Graph inputs: the groups `user` and `item`.
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter

CROSS_LAYERS = 2


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides."""
    return [*shop.user_features(size), *shop.item_features(size)]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """x' = x0 * (x W + b) + x, twice; then one layer over that and the network's last."""
    side = shop.side_width(size)
    width = 2 * side
    writer = LayerWriter("dcn", {"user": (side,), "item": (side,)}, rng)
    first = crossed = writer.beside("user", "item")
    for k in range(CROSS_LAYERS):
        product = writer.node("Mul", first, writer.layer(crossed, f"cross{k}", width, width))
        crossed = writer.node("Add", product, crossed)
    deep = writer.mlp(first, "deep", (width, *size.hidden))
    return writer.model(writer.layer(writer.beside(crossed, deep), "out", width + size.hidden[-1], 1))
