"""Logistic regression: a weight for each id and each number.

McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches". Graph inputs: the groups `user` and `item`, in which
an embedding is one number, the weight of the id, and `numbers`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter


def features(size: shop.Sizes) -> list[shop.Feature]:
    """One number for each id."""
    one: dict[str, Any] = {"embedding_dim": 1, "combiner": "sum"}
    return [*shop.user_features(size, **one), *shop.item_features(size, **one), *shop.number_features()]


def graph(_size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """The sum of the ids' weights and of the weighted numbers."""
    writer = LayerWriter("lr", {"user": (shop.USER_FIELDS,), "item": (shop.ITEM_FIELDS,), "numbers": (shop.NUMBERS,)}, rng)
    weights = {"linear_w": np.array([[1.0]] * shop.FIELDS + [[0.3], [-0.4]], np.float32)}
    weights["linear_b"] = rng.normal(0, 0.2, 1).astype(np.float32)
    return writer.model(writer.dense(writer.beside("user", "item", "numbers"), "linear", weights))
