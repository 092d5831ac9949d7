"""MMoE: experts that all tasks share, mixed by a gate of each task.

Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts". Graph inputs: the groups `user`
and `item`. Outputs: `click` and `buy`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter

EXPERTS = 3
TASKS = ("click", "buy")


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides."""
    return [*shop.user_features(size), *shop.item_features(size)]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Experts, gates, towers."""
    side, wide = shop.side_width(size), size.hidden[0]
    writer = LayerWriter("mmoe", {"user": (side,), "item": (side,)}, rng)
    x = writer.beside("user", "item")
    experts = [writer.layer(x, f"expert{k}", 2 * side, wide, "Relu") for k in range(EXPERTS)]
    outputs = {}
    for task in TASKS:
        mixed = gated(writer, x, f"{task}_gate", 2 * side, experts, wide)
        outputs[task] = writer.node("Sigmoid", writer.tower(mixed, task, size.hidden))
    return writer.with_outputs(outputs)


def gated(writer: LayerWriter, x: str, name: str, width: int, experts: Sequence[str], wide: int) -> str:
    """The experts (N, wide) each, mixed by softmax(x w) over x (N, width)."""
    count = len(experts)
    stacked = writer.reshape(writer.beside(*experts), -1, count, wide)
    gate = writer.node("Softmax", writer.layer(x, name, width, count), axis=-1)
    return writer.sum(writer.node("Mul", stacked, writer.reshape(gate, -1, count, 1)), 1)
