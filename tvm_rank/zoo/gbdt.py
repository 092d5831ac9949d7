"""Gradient-boosted trees over the embeddings and numbers of both sides, one ensemble for the score.

Friedman 2001, "Greedy Function Approximation: a Gradient Boosting Machine". Graph inputs: the groups `user`, `item`, `numbers`. There are
`hidden[0]` trees of `hidden[1]` leaves.
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter
from tvm_rank.zoo.onnx_trees import DOMAIN, random_trees


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides, and numbers."""
    return [*shop.user_features(size), *shop.item_features(size), *shop.number_features()]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """The sigmoid of the sum of all trees' leaves."""
    width, (trees, leaves) = shop.side_width(size), size.hidden[:2]
    writer = LayerWriter("gbdt", {"user": (width,), "item": (width,), "numbers": (shop.NUMBERS,)}, rng)
    scale = 1.5 / np.sqrt(trees)
    made = random_trees(
        rng,
        trees=trees,
        leaves=leaves,
        features=2 * width + shop.NUMBERS,
        leaf=lambda _tree, _leaf: (0, float(rng.normal(0, scale))),
    )
    x = writer.beside("user", "item", "numbers")
    return writer.model(writer.node("TreeEnsembleRegressor", x, domain=DOMAIN, n_targets=1, base_values=[0.1], **made))
