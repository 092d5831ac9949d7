"""TDM: retrieval from a tree of items, with a ranker as the scorer of its nodes.

Zhu et al. 2018, "Learning Tree-based Deep Model for Recommender Systems". The ranker has an embedding for each node, weighs the user's
clicks (leaves) by it, and scores any nodes; the nodes are the items of an item store. `beam_search` walks down: the children of the best
nodes of a level are scored in one call of the engine. Graph inputs: the group `user`, the feature `node` (N, dim), the sequence `clicked`
(N, L, dim) and `clicked__mask` (N, L).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pyarrow as pa

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter
from tvm_rank.zoo.shop_data import NODES

KEY = "node"


def features(size: shop.Sizes) -> list[shop.Feature]:
    """The user's fields, nodes by their number, and clicked leaves in the same table."""
    of_node: dict[str, Any] = {"value_type": "int64", "num_buckets": NODES, "default_value": "0", "embedding_dim": size.dim}
    node = {"feature_type": "id_feature", "embedding_name": "node", "combiner": "mean", **of_node}
    clicked = {"feature_name": "clicked", "expression": "user:clicked", "sequence_length": size.length, **node}
    return [
        *shop.user_features(size),
        {"feature_name": "node", "expression": "item:node", **node},
        clicked | {"feature_type": "sequence_id_feature"},
    ]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Softmax attention of the node over the clicks, and a network."""
    side, dim, length = shop.side_width(size), size.dim, size.length
    inputs = {"user": (side,), "node": (dim,), "clicked": (length, dim), "clicked__mask": (length,)}
    writer = LayerWriter("tdm", inputs, rng)
    scores = writer.reshape(writer.node("MatMul", "clicked", writer.reshape("node", -1, dim, 1)), -1, length)
    missing = writer.node("Mul", writer.node("Sub", "clicked__mask", writer.number(1.0)), writer.number(1e4))
    weights = writer.node("Softmax", writer.node("Add", scores, missing), axis=-1)
    interest = writer.reshape(writer.node("MatMul", writer.reshape(weights, -1, 1, length), "clicked"), -1, dim)
    together = writer.beside("user", "node", interest, writer.node("Mul", "node", interest))
    return writer.model(writer.tower(together, "deep", (side + 3 * dim, *size.hidden)))


def nodes() -> pa.Table:
    """All nodes of the tree, for the item store: node k has the children 2 k + 1 and 2 k + 2; the second half of them are leaves."""
    return pa.table({KEY: pa.array(range(NODES), pa.int64())})


def children(parents: np.ndarray) -> np.ndarray:
    """The nodes below these, none for a leaf."""
    below = np.stack([2 * parents + 1, 2 * parents + 2], axis=1).reshape(-1)
    return below[below < NODES]


def beam_search(engine: Any, user: Any, *, beam: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """The `wanted` best leaves that a walk with `beam` nodes of each level finds: (nodes int64, scores float32), best first.

    engine: of an artifact that was compiled with the nodes as its items · user: one row. Ties go to the smaller node. Work: two times
    `beam` nodes are scored for each level of the tree, in one call.
    """
    level, reached = np.zeros(1, np.int64), np.zeros(1, np.float32)
    while len(below := children(level)):
        scores = engine.rank(user=user, item_ids=below)["score"][:, 0]
        best = np.argsort(-scores, kind="stable")[: max(beam, wanted)]
        level, reached = below[best], scores[best]
    return level[:wanted], reached[:wanted]
