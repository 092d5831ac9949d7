"""GBDT+LR: the leaves in which a row ends are ids, and a logistic regression has a weight for each of them.

He et al. 2014, "Practical Lessons from Predicting Clicks on Ads at Facebook". Graph inputs: the groups `user` and `item`, with an ensemble for
each, and `numbers`. There are `hidden[0]` trees of `hidden[1]` leaves for each side; a tree has a target of its own, which is the number of
the leaf.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter
from tvm_rank.zoo.onnx_trees import DOMAIN, random_trees


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides, and numbers."""
    return [*shop.user_features(size), *shop.item_features(size), *shop.number_features()]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """The sigmoid of the weights of all leaves, and of the weighted numbers."""
    width = shop.side_width(size)
    writer = LayerWriter("gbdt_lr", {"user": (width,), "item": (width,), "numbers": (shop.NUMBERS,)}, rng)
    parts = [_leaf_weights(writer, side, width, size, rng) for side in ("user", "item")]
    return writer.model(writer.total(*parts, writer.layer("numbers", "linear", shop.NUMBERS, 1, scale=0.3)))


def _leaf_weights(writer: LayerWriter, side: str, width: int, size: shop.Sizes, rng: np.random.Generator) -> str:
    """The sum of the weights of the leaves of one side's trees (N, 1)."""
    trees, leaves = size.hidden[:2]
    made = random_trees(rng, trees=trees, leaves=leaves, features=width, leaf=lambda tree, leaf: (tree, float(leaf)))
    numbers = writer.node("TreeEnsembleRegressor", side, domain=DOMAIN, n_targets=trees, **made)
    first = writer.constant("first_leaves", np.arange(trees, dtype=np.int64) * leaves)
    ids = writer.node("Add", writer.node("Cast", numbers, to=TensorProto.INT64), first)
    table = writer.weight(f"{side}_leaf_weights", trees * leaves, scale=float(1 / np.sqrt(trees)))
    return writer.sum(writer.node("Gather", table, ids), 1, keepdims=True)
