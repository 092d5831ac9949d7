"""Trees in a whole model: what the plan counts, and leaves that are found when the item store is made."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import tvm_rank
from tvm_rank.zoo.onnx_graph import GraphWriter
from tvm_rank.zoo.onnx_trees import DOMAIN, random_trees

TREES, LEAVES, ITEMS = 20, 8, 40
NUMBERS = ("price", "age", "weight")


def model():
    """Trees over the items alone, plus a number of the user."""
    rng = np.random.default_rng(0)
    made = random_trees(rng, trees=TREES, leaves=LEAVES, features=3, leaf=lambda _t, _l: (0, float(rng.normal())))
    graph = GraphWriter("trees", {"item": (3,), "mood": (1,)})
    scores = graph.node("TreeEnsembleRegressor", "item", domain=DOMAIN, n_targets=1, **made)
    return graph.model(graph.node("Add", scores, "mood"))


def features() -> dict:
    number = {"feature_type": "raw_feature", "default_value": "0"}
    of_items = [number | {"feature_name": name, "expression": f"item:{name}", "group": "item"} for name in NUMBERS]
    return {"features": [*of_items, number | {"feature_name": "mood", "expression": "user:mood"}]}


def test_trees_over_items_are_computed_with_the_store_and_counted_in_the_plan(tmp_path):
    columns = {name: np.random.default_rng([k, 1]).normal(0, 0.4, ITEMS).astype(np.float32) for k, name in enumerate(NUMBERS)}
    table = pa.table({"key": np.arange(ITEMS), **columns})
    plain = tvm_rank.compile(features=features(), model=model())
    plain.save(tmp_path / "plain")
    stored = tvm_rank.compile(features=features(), model=model(), items=table, item_key="key", materialize="dense")
    stored.save(tmp_path / "stored")
    user, ids = {"mood": np.array([0.25], np.float32)}, np.array([3, 39, 0, 3])
    wanted = tvm_rank.load(tmp_path / "plain").rank(user=user, items=table.drop_columns(["key"]))
    (name,) = wanted
    found = tvm_rank.load(tmp_path / "stored").rank(user=user, items=ids)
    np.testing.assert_array_equal(found[name], wanted[name][ids])
    (trees,) = [step for step in plain.plan.after if step.operator == "rank.tree_ensemble"]
    assert TREES * 4 <= trees.flops.items <= TREES * LEAVES  # levels of trees of 8 leaves, and an addition each
    assert not [step for step in stored.plan.after if step.operator == "rank.tree_ensemble"]
    assert np.ptp(wanted[name]) > 0.1
