"""A model for several scenarios: a shared network, and a head for each scenario, of which the request's one counts.

After Sheng et al. 2021, "One Model to Serve All: Star Topology Adaptive Recommender for Multi-Domain CTR Prediction". Graph inputs: the
groups `user` and `item`, and the id `scenario`, int64 (N).
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter
from tvm_rank.zoo.shop_data import SCENARIOS


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides, and the scenario as its place in the list."""
    scenario = {"feature_name": "scenario", "feature_type": "id_feature", "expression": "context:scenario", "value_type": "string"}
    listed = {"vocab_list": list(SCENARIOS), "default_value": SCENARIOS[0], "default_bucketize_value": 0}
    return [*shop.user_features(size), *shop.item_features(size), scenario | listed]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Normalized input, shared network, heads side by side, one of them chosen."""
    side, count = shop.side_width(size), len(SCENARIOS)
    writer = LayerWriter("scenarios", {"user": (side,), "item": (side,), "scenario": ()}, rng, ids=["scenario"])
    x = writer.batch_normalized(writer.beside("user", "item"), "norm", 2 * side)
    shared = writer.mlp(x, "shared", (2 * side, size.hidden[0]))
    heads = [writer.tower(shared, f"head_{name}", size.hidden) for name in SCENARIOS]
    chosen = writer.node("Gather", writer.constant("eye", np.eye(count, dtype=np.float32)), "scenario", axis=0)
    return writer.model(writer.sum(writer.node("Mul", writer.beside(*heads), chosen), 1, keepdims=True))
