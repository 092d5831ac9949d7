"""DeepFM over a shop's search results: factorization machine, linear part and a two-layer network, summed.

Guo et al. 2017, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction". The features and the requests are
in `deepfm_data.py`. Graph inputs: the groups `user` and `item`, and the single features `query_match` (float) and
`price_level` (the bucket id, which the graph looks up in a table of biases of its own).
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np
import onnx

from tvm_rank.zoo import deepfm_data as data
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights
from tvm_rank.zoo.workload import Workload

HIDDEN = (64, 32)
FIELDS = data.USER_FIELDS + data.ITEM_FIELDS
WIDTH = FIELDS * data.DIM + data.USER_NUMBERS + data.ITEM_NUMBERS + 1


def build(folder: str | pathlib.Path, *, seed: int = 0, requests: int = 8, items: int = 200) -> Workload:
    """Write the model, its features and tables, and `requests` requests of `items` items each; the same for the same seed."""
    rng = np.random.default_rng(seed)
    tables = {name: rng.normal(0, 0.25, (rows, data.DIM)).astype(np.float32) for name, rows in data.TABLE_ROWS.items()}
    sizes = {"linear": (WIDTH, 1), "deep0": (WIDTH, HIDDEN[0]), "deep1": HIDDEN, "deep2": (HIDDEN[1], 1)}
    weights = dense_weights(rng, sizes)
    weights["price_bias"] = rng.normal(0, 0.2, (len(data.PRICE_LEVELS) + 1, 1)).astype(np.float32)
    return Workload.write(
        model_name="deepfm",
        folder=folder,
        features=data.feature_config(),
        model=_graph(weights),
        tables=tables,
        user=data.user_table(rng, requests),
        items=data.item_table(rng, requests, items),
    )


def _graph(weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    user, item = data.USER_FIELDS * data.DIM, data.ITEM_FIELDS * data.DIM
    shapes = {"user": (user + data.USER_NUMBERS,), "item": (item + data.ITEM_NUMBERS,), "query_match": (1,), "price_level": (1,)}
    graph = GraphWriter("deepfm", shapes, ids=["price_level"])

    def embeddings(group: str, width: int) -> str:
        return graph.node("Slice", group, graph.integers(0), graph.integers(width), graph.integers(1))

    fields = graph.node("Concat", embeddings("user", user), embeddings("item", item), axis=1)
    fields = graph.node("Reshape", fields, graph.integers(-1, FIELDS, data.DIM))
    total = graph.node("ReduceSum", fields, graph.integers(1), keepdims=0)
    squares = graph.node("ReduceSum", graph.node("Mul", fields, fields), graph.integers(1), keepdims=0)
    pairs = graph.node("Sub", graph.node("Mul", total, total), squares)
    machine = graph.node("ReduceSum", pairs, graph.integers(1), keepdims=1)
    machine = graph.node("Mul", machine, graph.constant("half", np.array(0.5, np.float32)))

    everything = graph.node("Concat", "user", "item", "query_match", axis=1)
    deep = graph.dense(everything, "deep0", weights, "Relu")
    deep = graph.dense(graph.dense(deep, "deep1", weights, "Relu"), "deep2", weights)
    biases = graph.constant("price_bias", weights["price_bias"])
    price = graph.node("Reshape", graph.node("Gather", biases, "price_level", axis=0), graph.integers(-1, 1))
    logit = graph.node("Add", machine, graph.dense(everything, "linear", weights))
    return graph.model(graph.node("Add", graph.node("Add", logit, deep), price))


def dense(inputs: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """The graph in NumPy: inputs by name, (N, width) each, `price_level` int64 (N, 1) -> logits float64 (N, 1)."""
    user, item = inputs["user"].astype(np.float64), inputs["item"].astype(np.float64)
    fields = np.hstack([user[:, : data.USER_FIELDS * data.DIM], item[:, : data.ITEM_FIELDS * data.DIM]])
    fields = fields.reshape(-1, FIELDS, data.DIM)
    machine = 0.5 * (fields.sum(1) ** 2 - (fields**2).sum(1)).sum(1, keepdims=True)
    everything = np.hstack([user, item, inputs["query_match"]])
    hidden = everything
    for layer in ("deep0", "deep1"):
        hidden = np.maximum(hidden @ weights[f"{layer}_w"] + weights[f"{layer}_b"], 0)
    deep = hidden @ weights["deep2_w"] + weights["deep2_b"]
    linear = everything @ weights["linear_w"] + weights["linear_b"]
    return machine + linear + deep + weights["price_bias"][inputs["price_level"][:, 0]]
