"""DIEN: interests out of the clicks by a GRU, their evolution towards the candidate by a GRU whose update gate is the attention.

Zhou et al. 2019, "Deep Interest Evolution Network for Click-Through Rate Prediction". The first is ONNX's GRU over transposed clicks, as
PyTorch exports it; the second is a Scan, as a loop over the sequence is exported. Graph inputs: the groups `user` and `item`, the sequence
group `history` (N, L, 2 dim), `history__mask` (N, L) and `history__length` (N).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from tvm_rank.zoo import din, shop
from tvm_rank.zoo.onnx_layers import LayerWriter

features = din.features


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Interests, attention, evolution, network."""
    side, width = shop.side_width(size), 2 * size.dim
    hidden = width
    writer = LayerWriter("dien", din.inputs(size) | {"history__length": ()}, rng, ids=["history__length"])
    interests = _interests(writer, width, hidden)
    query = writer.layer(writer.columns("item", 0, width), "query", width, hidden)
    scores = writer.node("MatMul", interests, writer.reshape(query, -1, hidden, 1))
    missing = writer.node("Mul", writer.node("Sub", "history__mask", writer.number(1.0)), writer.number(1e4))
    scores = writer.node("Add", writer.reshape(scores, -1, size.length), missing)
    evolved = _evolved(writer, interests, writer.node("Softmax", scores, axis=-1), hidden, size.length)
    return writer.model(writer.tower(writer.beside("user", "item", evolved), "deep", (2 * side + hidden, *size.hidden)))


def _interests(writer: LayerWriter, width: int, hidden: int) -> str:
    """The state of the GRU at each click, (N, L, hidden); zeros behind the last one."""
    lengths = writer.node("Cast", "history__length", to=TensorProto.INT32)
    parts = [
        writer.weight("interest_w", 1, 3 * hidden, width, scale=width**-0.5),
        writer.weight("interest_r", 1, 3 * hidden, hidden, scale=hidden**-0.5),
        writer.weight("interest_b", 1, 6 * hidden, scale=0.1),
    ]
    steps = writer.node("Transpose", "history", perm=[1, 0, 2])
    states = writer.node("GRU", steps, *parts, lengths, hidden_size=hidden, linear_before_reset=1)
    return writer.node("Transpose", writer.node("Squeeze", states, writer.integers(1)), perm=[1, 0, 2])


def _evolved(writer: LayerWriter, interests: str, attention: str, hidden: int, length: int) -> str:
    """The last state of the AUGRU, (N, hidden): h' = (1 - a u) h + a u n."""
    writer.weight("evolve_w", 2 * hidden, 2 * hidden, scale=hidden**-0.5)
    writer.weight("evolve_v", 2 * hidden, hidden, scale=hidden**-0.5)
    writer.number(1.0)

    def value(name: str, width: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])

    nodes = [
        helper.make_node("Concat", ["x", "h"], ["xh"], axis=1),
        helper.make_node("MatMul", ["xh", "evolve_w"], ["gates"]),
        helper.make_node("Sigmoid", ["gates"], ["opened"]),
        helper.make_node("Split", ["opened"], ["u", "r"], axis=1, num_outputs=2),
        helper.make_node("Mul", ["r", "h"], ["rh"]),
        helper.make_node("Concat", ["x", "rh"], ["xrh"], axis=1),
        helper.make_node("MatMul", ["xrh", "evolve_v"], ["inner"]),
        helper.make_node("Tanh", ["inner"], ["n"]),
        helper.make_node("Mul", ["a", "u"], ["au"]),
        helper.make_node("Sub", ["f32_1.0", "au"], ["kept"]),
        helper.make_node("Mul", ["kept", "h"], ["old"]),
        helper.make_node("Mul", ["au", "n"], ["new"]),
        helper.make_node("Add", ["old", "new"], ["h_next"]),
    ]
    body = helper.make_graph(nodes, "augru", [value("h", hidden), value("x", hidden), value("a", 1)], [value("h_next", hidden)])
    start = writer.node("Mul", writer.columns("item", 0, hidden), writer.number(0.0))
    steps = writer.node("Transpose", interests, perm=[1, 0, 2])
    weights = writer.node("Transpose", writer.reshape(attention, -1, length, 1), perm=[1, 0, 2])
    return writer.node("Scan", start, steps, weights, body=body, num_scan_inputs=2)
