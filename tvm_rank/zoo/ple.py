"""PLE: experts of each task beside shared ones, in two levels.

Tang et al. 2020, "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model for Personalized Recommendations". Graph inputs:
the groups `user` and `item`. Outputs: `click` and `buy`.
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.mmoe import TASKS, gated
from tvm_rank.zoo.onnx_layers import LayerWriter

EXPERTS = 2  # of each task, and shared
SHARED = "shared"


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides."""
    return [*shop.user_features(size), *shop.item_features(size)]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """A level mixes for each task its own and the shared experts, and for the next level all of them."""
    side = shop.side_width(size)
    writer = LayerWriter("ple", {"user": (side,), "item": (side,)}, rng)
    x = writer.beside("user", "item")
    streams, width = {name: x for name in (*TASKS, SHARED)}, 2 * side
    for level, wide in enumerate((size.hidden[0], size.hidden[0])):
        experts = {
            name: [writer.layer(source, f"{name}{level}_expert{k}", width, wide, "Relu") for k in range(EXPERTS)]
            for name, source in streams.items()
        }
        chosen = {task: [*experts[task], *experts[SHARED]] for task in TASKS}
        if level == 0:
            chosen[SHARED] = [expert for of_one in experts.values() for expert in of_one]
        streams = {
            name: gated(writer, streams[name], f"{name}{level}_gate", width, members, wide) for name, members in chosen.items()
        }
        width = wide
    return writer.with_outputs({task: writer.node("Sigmoid", writer.tower(streams[task], task, size.hidden)) for task in TASKS})
