"""BST: a transformer over the clicks and the candidate.

Chen et al. 2019, "Behavior Sequence Transformer for E-commerce Recommendation in Alibaba". Graph inputs: the groups `user` and `item`,
the sequence group `history` (N, L, 2 dim) and `history__mask` (N, L).
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import din, shop
from tvm_rank.zoo.onnx_attention import self_attention
from tvm_rank.zoo.onnx_layers import LayerWriter

features = din.features


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """One block (attention, layer norm, gelu network, layer norm) over L + 1 positions, all of them read by the network."""
    side, width, positions = shop.side_width(size), 2 * size.dim, size.length + 1
    writer = LayerWriter("bst", din.inputs(size), rng)
    candidate = writer.reshape(writer.columns("item", 0, width), -1, 1, width)
    x = writer.node("Add", writer.beside("history", candidate), writer.weight("position", positions, width, scale=0.1))
    hidden = writer.node("Sub", writer.number(1.0), "history__mask")
    missing = writer.node("Mul", hidden, writer.number(-1e4))
    always = writer.node("Mul", writer.columns("item", 0, 1), writer.number(0.0))
    bias = writer.reshape(writer.beside(missing, always), -1, 1, 1, positions)
    attended = self_attention(writer, x, "attention", positions=positions, width=width, heads=size.heads, bias=bias)
    x = writer.layer_normalized(writer.total(x, attended), "norm0", width)
    inner = writer.gelu(writer.layer(x, "inner", width, 2 * width))
    x = writer.layer_normalized(writer.total(x, writer.layer(inner, "outer", 2 * width, width)), "norm1", width)
    flat = writer.beside("user", "item", writer.reshape(x, -1, positions * width))
    return writer.model(writer.tower(flat, "deep", (2 * side + positions * width, *size.hidden)))
