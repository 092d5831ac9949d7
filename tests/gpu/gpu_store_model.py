"""A model of three features that compiles in a few seconds, its items, and the scores that it must give."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import pyarrow as pa

import tvm_rank
from te_schedules.gpu.rounded import rounded
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights

ITEMS, DIM, ROWS = 40, 3, 20
KINDS = {  # level -> layout, keys
    "none": ("rows", "number"),
    "ids": ("columns", "text"),
    "embeddings": ("rows", "text"),
    "dense": ("columns", "number"),
}
BUDGET = 4 * (DIM + 1) * (ITEMS + 1)  # bytes of `embeddings`, and less than those of `dense`: by them "auto" takes the former


def features() -> dict[str, Any]:
    def ids(name: str, field: str, group: str) -> dict[str, Any]:
        return {"feature_name": name, "feature_type": "id_feature", "expression": field, "hash_bucket_size": ROWS} | {
            "embedding_dim": DIM,
            "group": group,
        }

    price = {"feature_name": "price", "feature_type": "raw_feature", "expression": "item:price", "group": "items"}
    return {"features": [ids("city", "user:city", "users"), ids("brand", "item:brand", "items"), price]}


def model() -> onnx.ModelProto:
    graph = GraphWriter("small", {"users": (DIM,), "items": (DIM + 1,)})
    weights = dense_weights(np.random.default_rng(1), {"a": (2 * DIM + 1, 8), "b": (8, 1)})
    hidden = graph.dense(graph.node("Concat", "users", "items", axis=1), "a", weights, "Relu")
    return graph.model(graph.dense(hidden, "b", weights))


def items(keys: str, count: int = ITEMS, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "key": pa.array([key(keys, k) for k in range(count)]),
            "brand": [None if k % 7 == 3 else f"brand {k * 5 % 11}" for k in range(count)],
            "price": pa.array(rng.normal(size=count).astype(np.float32), mask=np.arange(count) % 5 == 2),
        }
    )


def key(keys: str, k: int) -> Any:
    return f"item {k * 7919}" if keys == "text" else k * 7919 - 50_000


def tables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {name: rng.normal(size=(ROWS, DIM)).astype(np.float32) for name in ("city", "brand")}


def wanted(
    user: list[str], of: list[int], rows: list[int], table: pa.Table, precision: str = "fp32", *, has_dense: bool = False
) -> np.ndarray:
    """Scores from the same features of a store without keys: -1 are items that are not there. precision: of the first layer, and of
    the user's part of it alone when the store has that of items (`has_dense`)."""
    known = {int(k): table.slice(int(k), 1).to_pylist()[0] for k in set(rows) - {-1}} | {-1: {"brand": None, "price": None}}
    given, arrays = tables(), {t.name: onnx.numpy_helper.to_array(t) for t in model().graph.initializer}
    ids = hashed()({"city": [user[r] for r in of], "brand": pa.array([known[r]["brand"] for r in rows], pa.string())})
    prices = np.array([[known[r]["price"] or 0] for r in rows], np.float32)
    parts = [_pooled(given[name], ids[name]) for name in ("city", "brand")]
    x = np.concatenate([*parts, prices], axis=1)
    near_x, near_w = (np.array(rounded(part, precision)) for part in (x, arrays["a_w"]))
    if has_dense:
        near_x[:, DIM:], near_w[DIM:] = x[:, DIM:], arrays["a_w"][DIM:]
    hidden = np.maximum(near_x @ near_w + arrays["a_b"], 0)
    return 1 / (1 + np.exp(-(hidden @ arrays["b_w"] + arrays["b_b"])))


@functools.cache
def hashed() -> Any:
    """The ids of both features."""
    return tvm_rank.compile_features({"features": features()["features"][:2]})


def _pooled(table: np.ndarray, found: Any) -> np.ndarray:
    ends = np.cumsum(found.lengths)
    return np.stack([table[found.values[end - n : end]].sum(axis=0) for end, n in zip(ends, found.lengths, strict=True)])
