"""A small ranking model that compiles in a few seconds and reads a column of every kind, and valid columns for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pyarrow as pa

from tvm_rank.zoo.onnx_graph import GraphWriter

DIM = 4
ROWS = {"city": 50, "hour": 24, "affinity": 30, "item_id": 100, "tags": 20, "level": 40, "city_item": 64}
ITEMS = 37


def _id(name: str, field: str, group: str, **more: Any) -> dict[str, Any]:
    size = {} if "num_buckets" in more else {"hash_bucket_size": ROWS[name]}
    entry = {"feature_name": name, "feature_type": "id_feature", "expression": field, "embedding_dim": DIM, "group": group}
    return entry | size | more


def features() -> dict[str, Any]:
    """fg.json: text, integers under num_buckets, weighted ids, lists, integers and floats, a combination of both sides."""
    return {
        "hash_function": "farm",
        "features": [
            _id("city", "user:city", "user"),
            _id("hour", "context:hour", "user", num_buckets=ROWS["hour"]),
            _id("affinity", "user:affinity", "user", weighted=True, combiner="sum"),
            _id("item_id", "item:item_id", "item"),
            _id("tags", "item:tags", "item"),
            _id("level", "item:level", "item"),
            {"feature_name": "price", "feature_type": "raw_feature", "expression": "item:price", "group": "item"},
            {"feature_name": "city_item", "feature_type": "combo_feature", "expression": ["user:city", "item:item_id"],
             "hash_bucket_size": ROWS["city_item"], "embedding_dim": DIM, "group": "item"},
            {"feature_name": "unread", "feature_type": "raw_feature", "expression": "item:unread"},
        ],
    }  # fmt: skip


def model() -> onnx.ModelProto:
    """sigmoid(concat(user (N, 12), item (N, 17)) @ w + b): output `score` (N, 1)."""
    rng = np.random.default_rng(5)
    writer = GraphWriter("small", {"user": [3 * DIM], "item": [4 * DIM + 1]})
    weights = {"out_w": rng.standard_normal((7 * DIM + 1, 1)).astype(np.float32), "out_b": np.zeros(1, np.float32)}
    return writer.model(writer.dense(writer.node("Concat", "user", "item", axis=1), "out", weights))


def tables() -> dict[str, np.ndarray]:
    """Table name -> float32 (rows, DIM)."""
    rng = np.random.default_rng(6)
    return {name: rng.standard_normal((rows, DIM)).astype(np.float32) for name, rows in ROWS.items()}


def user(rows: int = 1) -> dict[str, pa.Array]:
    """Valid columns of `rows` requests."""
    rng = np.random.default_rng(7)
    return {
        "city": pa.array([f"city {k}" for k in rng.integers(0, 90, rows)]),
        "hour": pa.array(rng.integers(0, 24, rows), pa.int64()),
        "affinity": pa.array([[f"a{k}:{k / 8}", "b:0.5"] for k in range(rows)], pa.list_(pa.string())),
    }


def items(rows: int = ITEMS) -> dict[str, pa.Array]:
    """Valid columns of `rows` items."""
    rng = np.random.default_rng(8)
    return {
        "item_id": pa.array([f"item {k}" for k in rng.integers(0, 500, rows)]),
        "tags": pa.array([[f"t{j}" for j in range(k % 4)] for k in range(rows)], pa.list_(pa.string())),
        "level": pa.array(rng.integers(-5, 9, rows), pa.int64()),
        "price": pa.array(rng.random(rows), pa.float32()),
    }
