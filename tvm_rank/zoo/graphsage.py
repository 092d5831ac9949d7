"""GraphSAGE: a user and an item, each with the mean of its neighbours; the item's neighbours with those around them.

Hamilton et al. 2017, "Inductive Representation Learning on Large Graphs". Neighbour lists are multi-valued features: `friends` of the
user, pooled by their mean; `neighbour` of the item, a sequence whose elements are a neighbour and the mean of those around it. Graph
inputs: `user_id`, `friends` and `item_id` (N, dim), `neighbour` (N, L, 2 dim), `neighbour__length` (N, 1).
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Nodes and their neighbours, in two tables."""
    around = [
        shop.category("item", "item:item", size, table="item_id"),
        shop.category("around", "item:around", size, table="item_id", separator="|"),
    ]
    return [
        shop.category("user_id", "user:user_id", size),
        shop.category("friends", "user:friends", size, table="user_id"),
        shop.category("item_id", "item:item_id", size),
        {"sequence_name": "neighbour", "sequence_length": size.length, "features": around},
    ]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """relu([self, mean of neighbours] W) of each side and level, normalized; the score is the dot product."""
    dim, length = size.dim, size.length
    inputs = {"user_id": (dim,), "friends": (dim,), "item_id": (dim,), "neighbour": (length, 2 * dim), "neighbour__length": (1,)}
    writer = LayerWriter("graphsage", inputs, rng)
    inner = writer.layer("neighbour", "level0", 2 * dim, dim, "Relu")  # the same weights for the item itself
    places = writer.constant("places", np.arange(length, dtype=np.float32)[None, :])
    mask = writer.node("Cast", writer.node("Less", places, "neighbour__length"), to=onnx.TensorProto.FLOAT)
    total = writer.sum(writer.node("Mul", inner, writer.reshape(mask, -1, length, 1)), 1)
    mean = writer.node("Div", total, "neighbour__length")
    item = writer.normalized(writer.layer(writer.beside("item_id", mean), "item", 2 * dim, dim, "Relu"))
    user = writer.normalized(writer.layer(writer.beside("user_id", "friends"), "user", 2 * dim, dim, "Relu"))
    dot = writer.sum(writer.node("Mul", user, item), 1, keepdims=True)
    return writer.model(writer.node("Sub", writer.node("Mul", dot, writer.number(6.0)), writer.number(1.5)))
