"""DIN: the clicks of the user, weighed by how near they are to the candidate.

Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction". Graph inputs: the groups `user` and `item`, the sequence
group `history` (N, L, 2 dim) and `history__mask` (N, L).
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter

UNIT = 16  # width of the attention unit


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides, and the clicks."""
    return [*shop.user_features(size), *shop.item_features(size), shop.history(size)]


def inputs(size: shop.Sizes) -> dict[str, tuple[int, ...]]:
    """The graph inputs of a model with clicks."""
    side = shop.side_width(size)
    return {"user": (side,), "item": (side,), "history": (size.length, 2 * size.dim), "history__mask": (size.length,)}


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Attention unit with PReLU over (q, k, q - k, q * k); weights are not normalized; Dice in the network."""
    side, width = shop.side_width(size), 2 * size.dim
    writer = LayerWriter("din", inputs(size), rng)
    query = writer.columns("item", 0, width)  # item and category come first
    weights = attention_weights(writer, query, size)
    interest = writer.reshape(writer.node("MatMul", writer.reshape(weights, -1, 1, size.length), "history"), -1, width)
    hidden, wide = writer.beside("user", "item", interest), 2 * side + width
    for k, narrow in enumerate(size.hidden):
        hidden, wide = writer.dice(writer.layer(hidden, f"deep{k}", wide, narrow), f"dice{k}", narrow), narrow
    return writer.model(writer.layer(hidden, "out", wide, 1))


def attention_weights(writer: LayerWriter, query: str, size: shop.Sizes) -> str:
    """The weight of each click (N, L), 0 behind the last one."""
    width, length = 2 * size.dim, size.length
    spread = writer.node("Expand", writer.reshape(query, -1, 1, width), writer.integers(1, length, 1))
    unit = writer.beside(spread, "history", writer.node("Sub", spread, "history"), writer.node("Mul", spread, "history"), axis=2)
    hidden = writer.layer(unit, "unit0", 4 * width, UNIT)
    hidden = writer.node("PRelu", hidden, writer.constant("unit_slope", np.full(UNIT, 0.25, np.float32)))
    scores = writer.reshape(writer.layer(hidden, "unit1", UNIT, 1), -1, length)
    return writer.node("Mul", scores, "history__mask")
