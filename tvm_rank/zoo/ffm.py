"""Field-aware factorization machine: a field has another embedding for each field that it meets.

Juan et al. 2016, "Field-aware Factorization Machines for CTR Prediction". Graph inputs: the groups `user` and `item`, in which the
embedding of a field is one vector for each of all fields, and `user_linear` and `item_linear`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Wide embeddings, and weights of the same ids."""
    wide: dict[str, Any] = {"embedding_dim": shop.FIELDS * size.dim}
    both = [*shop.user_features(size, **wide), *shop.item_features(size, **wide)]
    return [*both, *shop.linear_features(both)]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Half of the sum over i != j of e[i, j] . e[j, i], and the weights."""
    fields, width = shop.FIELDS, shop.USER_FIELDS * shop.FIELDS * size.dim
    shapes = {"user": (width,), "item": (width,), "user_linear": (shop.USER_FIELDS,), "item_linear": (shop.ITEM_FIELDS,)}
    writer = LayerWriter("ffm", shapes, rng)
    vectors = writer.reshape(writer.beside("user", "item"), -1, fields, fields, size.dim)
    products = writer.node("Mul", vectors, writer.node("Transpose", vectors, perm=[0, 2, 1, 3]))
    pairs = writer.reshape(writer.sum(products, 3), -1, fields * fields)
    halves = writer.constant("halves", (0.5 - 0.5 * np.eye(fields, dtype=np.float32)).reshape(-1, 1))
    linear = writer.sum(writer.beside("user_linear", "item_linear"), 1, keepdims=True)
    bias = writer.weight("bias", 1, scale=0.1)
    return writer.model(writer.total(writer.node("MatMul", pairs, halves), linear, bias))
