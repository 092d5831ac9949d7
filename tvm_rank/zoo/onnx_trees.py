"""Random trees in the attributes of TreeEnsembleRegressor (ai.onnx.ml)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

DOMAIN = "ai.onnx.ml"
SPREAD = 0.4  # of thresholds: what embeddings of the shop are drawn with


def random_trees(
    rng: np.random.Generator, *, trees: int, leaves: int, features: int, leaf: Callable[[int, int], tuple[int, float]]
) -> dict[str, Any]:
    """`trees` trees of `leaves` leaves each, grown at random; leaf(tree, number of the leaf) -> (target, weight)."""
    columns: dict[str, list] = {f"nodes_{name}": [] for name in _NODE}
    columns |= {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(trees):
        children = _grown(rng, leaves)
        number = 0
        for node, pair in enumerate(children):
            values: tuple = (tree, node, "LEAF", 0, 0.0, 0, 0, 0)
            if pair is not None:
                threshold = float(np.float32(rng.normal(0, SPREAD)))
                values = (tree, node, "BRANCH_LEQ", int(rng.integers(features)), threshold, *pair, int(rng.integers(2)))
            else:
                target, weight = leaf(tree, number)
                number += 1
                for name, value in zip(("treeids", "nodeids", "ids", "weights"), (tree, node, target, weight), strict=True):
                    columns[f"target_{name}"].append(value)
            for name, value in zip(_NODE, values, strict=True):
                columns[f"nodes_{name}"].append(value)
    return columns


_NODE = ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")


def _grown(rng: np.random.Generator, leaves: int) -> list[tuple[int, int] | None]:
    """The children of each node, None for leaves: a leaf drawn at random is split until there are enough."""
    children: list[tuple[int, int] | None] = [None]
    open_ = [0]
    while len(open_) < leaves:
        node = open_.pop(int(rng.integers(len(open_))))
        children[node] = (len(children), len(children) + 1)
        open_ += [len(children), len(children) + 1]
        children += [None, None]
    return children
