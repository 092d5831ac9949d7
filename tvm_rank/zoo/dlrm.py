"""DLRM: numbers through a network, dot products of all pairs of vectors, a network over them.

Naumov et al. 2019, "Deep Learning Recommendation Model for Personalization and Recommendation Systems". Graph inputs: the groups `user`
and `item`, and `numbers`. `criteo` is the same over the columns of the Criteo data set.
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.fm import fields_of
from tvm_rank.zoo.onnx_layers import LayerWriter


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides, and numbers."""
    return [*shop.user_features(size), *shop.item_features(size), *shop.number_features()]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Bottom network, dot products, top network."""
    side, vectors = shop.side_width(size), 1 + shop.FIELDS
    writer = LayerWriter("dlrm", {"user": (side,), "item": (side,), "numbers": (shop.NUMBERS,)}, rng)
    bottom = writer.mlp("numbers", "bottom", (shop.NUMBERS, size.hidden[-1], size.dim))
    stacked = writer.beside(writer.reshape(bottom, -1, 1, size.dim), fields_of(writer, size))
    products = writer.node("MatMul", stacked, writer.node("Transpose", stacked, perm=[0, 2, 1]))
    below, left = np.tril_indices(vectors, -1)
    chosen = writer.constant("pairs", (below * vectors + left).astype(np.int64))
    pairs = writer.node("Gather", writer.reshape(products, -1, vectors * vectors), chosen, axis=1)
    return writer.model(writer.tower(writer.beside(bottom, pairs), "top", (size.dim + len(below), *size.hidden)))
