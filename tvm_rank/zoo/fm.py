"""Factorization machine: the dot products of all pairs of fields, and a linear part.

Rendle 2010, "Factorization Machines". Graph inputs: the groups `user` and `item`, `user_linear` and `item_linear` (one number for each
id), and `numbers`.
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings, weights of the same ids, and numbers."""
    both = [*shop.user_features(size), *shop.item_features(size)]
    return [*both, *shop.linear_features(both), *shop.number_features()]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Pairs, weights of ids, weights of numbers."""
    width = shop.side_width(size)
    linear = {"user_linear": (shop.USER_FIELDS,), "item_linear": (shop.ITEM_FIELDS,), "numbers": (shop.NUMBERS,)}
    writer = LayerWriter("fm", {"user": (width,), "item": (width,), **linear}, rng)
    ids = writer.sum(writer.beside("user_linear", "item_linear"), 1, keepdims=True)
    numbers = writer.layer("numbers", "numbers", shop.NUMBERS, 1)
    return writer.model(writer.total(writer.pair_sums(fields_of(writer, size)), ids, numbers))


def fields_of(writer: LayerWriter, size: shop.Sizes) -> str:
    """The embeddings of both sides, (N, fields, dim)."""
    return writer.reshape(writer.beside("user", "item"), -1, shop.FIELDS, size.dim)
