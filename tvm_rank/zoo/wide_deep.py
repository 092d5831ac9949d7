"""Wide & Deep: crossed ids with a weight each, beside a network over embeddings.

Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems". Graph inputs: the groups `user` and `item`, `numbers`, and `wide` (one
number for each crossed id).
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter

CROSSES = (("city", "category"), ("gender", "brand"), ("hour", "category"))


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides, and crosses of one number."""
    sides = {
        "city": "user:city",
        "gender": "user:gender",
        "hour": "context:hour",
        "category": "item:category",
        "brand": "item:brand",
    }
    wide = [
        shop.category(f"{one}_x_{other}", [sides[one], sides[other]], size, group="wide", embedding_dim=1, combiner="sum")
        for one, other in CROSSES
    ]
    return [*shop.user_features(size), *shop.item_features(size), *shop.number_features(), *wide]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """The sum of both parts."""
    width = shop.side_width(size)
    writer = LayerWriter(
        "wide_deep", {"user": (width,), "item": (width,), "numbers": (shop.NUMBERS,), "wide": (len(CROSSES),)}, rng
    )
    deep = writer.tower(writer.beside("user", "item", "numbers"), "deep", (2 * width + shop.NUMBERS, *size.hidden))
    return writer.model(writer.total(deep, writer.sum("wide", 1, keepdims=True)))
