"""rank-bench: a ranking model of the size that serves, written by seed: 63 features, 893 inputs of the dense layers, 1.0 GB of tables.

A request has 18 fields of a user and a query, and items with 24 fields. Ids are texts that are hashed with FarmHash into tables of
embeddings of 16 numbers; four fields and the title have many values, ten features cross a field of the user with one of the item, eight
numbers are also cut into 32 buckets, one feature counts the words that query and title share. The dense model is an MLP over all of it.

`mean` pools the 50 clicks of the user; `din` has attention over them: for each pair of a click and an item, an MLP over both, their
difference and product.
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import onnx
import pyarrow as pa

from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights
from tvm_rank.zoo.workload import REQUEST_COLUMN, Workload

VARIANTS = ("mean", "din")
SMALL = 100  # the small form has a hundredth of the rows in each large table: 10 MB
DIM, CLICKS, BUCKETS = 16, 50, 32
USER_NUMBERS, ITEM_NUMBERS = 4, 8
# distinct values of each field; few of them are frequent
USER_IDS = {"user_id": 10_000_000, "gender": 3, "city": 400} | {
    f"u_cat{k}": count for k, count in enumerate((8, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000))
}
ITEM_IDS = {"item_id": 2_000_000, "category": 2000, "brand": 50_000} | {
    f"i_cat{k}": count for k, count in enumerate((5, 20, 50, 200, 1000, 3000, 10_000, 30_000, 100_000))
}
ITEM_LISTS = {"i_mv0": 50, "i_mv1": 500, "i_mv2": 5000, "i_mv3": 50_000}  # up to 6 values each
WORDS = 50_000  # of queries (2 to 6 of them) and titles (6 to 18)
CROSSES = (
    ("city", "category"), ("gender", "category"), ("gender", "brand"), ("user_id", "category"), ("user_id", "brand"),
    ("city", "item_id"), ("u_cat0", "category"), ("u_cat1", "brand"), ("u_cat2", "i_cat4"), ("u_cat3", "item_id"),
)  # fmt: skip
ROWS = {"user_id": 1_000_000, "item_id": 1_000_000, "query": 500_000, "title": 500_000, "age": 100, "hour": 24}
OTHER_ROWS, CROSS_ROWS = 100_000, 1_000_000
USER_WIDTH = (len(USER_IDS) + 3) * DIM + USER_NUMBERS
CLICK_WIDTH = 2 * DIM
ITEM_WIDTH = (len(ITEM_IDS) + len(ITEM_LISTS) + 1 + len(CROSSES) + ITEM_NUMBERS) * DIM + ITEM_NUMBERS + 1
HIDDEN = (512, 256, 128, 1)
ATTENTION = (64, 32, 1)

Feature = dict[str, Any]


def build(
    folder: str | pathlib.Path, *, variant: str = "mean", small: bool = False, requests: int = 16, items: int = 1024, seed: int = 0
) -> Workload:
    """Write the model and `requests` requests of `items` items each; the same bytes for the same arguments."""
    rng = np.random.default_rng(seed)
    features = _Features(variant, small)
    model = _graph(variant, rng)
    return Workload.write(
        model_name=f"rank-bench-{variant}",
        folder=folder,
        features={"hash_function": "farm", "features": features.all(rng)},
        model=model,
        tables={name: rng.random((rows, DIM), np.float32) - np.float32(0.5) for name, rows in features.rows.items()},
        user=(user := _user_table(rng, requests, variant)),
        items=_item_table(rng, requests, items, user.column("query").to_pylist()),
    )


class _Features:
    """Makes fg.json and collects the rows of the tables."""

    def __init__(self, variant: str, small: bool):
        self.variant, self.small = variant, small
        self.rows: dict[str, int] = {}

    def all(self, rng: np.random.Generator) -> list[Feature]:
        """In the order of the dense inputs."""
        user = [self._id(name, f"user:{name}", "user") for name in USER_IDS]
        user += [
            self._number_id("age", "user:age"),
            self._number_id("hour", "context:hour"),
            self._id("query", "context:query", "user"),
        ]
        user += [self._number(f"u_num{k}", f"user:u_num{k}", "user", rng) for k in range(USER_NUMBERS)]
        item = [self._id(name, f"item:{name}", "item") for name in (*ITEM_IDS, *ITEM_LISTS, "title")]
        item += [self._id(f"x{k}", [f"user:{a}", f"item:{b}"], "item", rows=CROSS_ROWS) for k, (a, b) in enumerate(CROSSES)]
        item += [self._bucketized(k, rng) for k in range(ITEM_NUMBERS)]
        item += [self._number(f"i_num{k}_z", f"item:i_num{k}", "item", rng) for k in range(ITEM_NUMBERS)]
        overlap = {"feature_name": "overlap", "feature_type": "overlap_feature", "query": "context:query", "title": "item:title"}
        return [*user, *self._clicks(), *item, overlap | {"method": "query_common_ratio", "group": "item"}]

    def _clicks(self) -> list[Feature]:
        pairs = [("item", "item_id", "seq_item"), ("cat", "category", "seq_cat")]
        if self.variant == "mean":
            return [self._id(column, f"user:{column}", "sequence", table=table) for _, table, column in pairs]
        parts = [self._id(name, f"user:{column}", "click", table=table) for name, table, column in pairs]
        return [{"sequence_name": "click", "sequence_length": CLICKS, "sequence_delim": ";", "group": "click", "features": parts}]

    def _table(self, name: str, rows: int) -> int:
        if self.small and rows > SMALL:
            rows = max(SMALL, rows // SMALL)
        return self.rows.setdefault(name, rows)

    def _embedded(self, name: str, table: str, group: str) -> Feature:
        return {"feature_name": name, "embedding_dim": DIM, "embedding_name": table, "combiner": "mean", "group": group}

    def _id(self, name: str, expression: str | list[str], group: str, *, table: str = "", rows: int = 0) -> Feature:
        kind = "id_feature" if isinstance(expression, str) else "combo_feature"
        rows = self._table(table or name, rows or ROWS.get(table or name, OTHER_ROWS))
        read = {"feature_type": kind, "expression": expression, "value_type": "string", "hash_bucket_size": rows}
        return self._embedded(name, table or name, group) | read

    def _number_id(self, name: str, expression: str) -> Feature:
        read = {"feature_type": "id_feature", "expression": expression, "value_type": "int64"}
        return self._embedded(name, name, "user") | read | {"num_buckets": self._table(name, ROWS[name])}

    def _bucketized(self, k: int, rng: np.random.Generator) -> Feature:
        boundaries = np.sort(rng.lognormal(1.0, 1.2, BUCKETS - 1).astype(np.float32)).tolist()
        read = {"feature_type": "raw_feature", "expression": f"item:i_num{k}", "value_type": "float", "boundaries": boundaries}
        self.rows.setdefault(f"b{k}", BUCKETS)
        return self._embedded(f"b{k}", f"b{k}", "item") | read

    def _number(self, name: str, expression: str, group: str, rng: np.random.Generator) -> Feature:
        mean, deviation = round(float(rng.uniform(0.5, 3)), 3), round(float(rng.uniform(0.5, 1.5)), 3)
        formula = f"method=expression,expr=(ln(1+(x>0?x:0))-{mean})/{deviation}"
        read = {"feature_type": "raw_feature", "expression": expression, "value_type": "float", "normalizer": formula}
        return {"feature_name": name, "group": group} | read


def _graph(variant: str, rng: np.random.Generator) -> onnx.ModelProto:
    """[Attention over the clicks,] concatenation, MLP, sigmoid."""
    wide = USER_WIDTH + CLICK_WIDTH + ITEM_WIDTH
    sizes = {f"mlp{k}": pair for k, pair in enumerate(zip((wide, *HIDDEN[:-1]), HIDDEN, strict=True))}
    sizes |= {f"din{k}": pair for k, pair in enumerate(zip((4 * CLICK_WIDTH, *ATTENTION[:-1]), ATTENTION, strict=True))}
    weights = dense_weights(rng, sizes)
    clicks = {"sequence": (CLICK_WIDTH,)} if variant == "mean" else {"click": (CLICKS, CLICK_WIDTH)}
    graph = GraphWriter("rank_bench", {"user": (USER_WIDTH,), **clicks, "item": (ITEM_WIDTH,)})
    pooled = "sequence" if variant == "mean" else _attention(graph, weights)
    value = graph.node("Concat", "user", pooled, "item", axis=1)
    for k in range(len(HIDDEN)):
        value = graph.dense(value, f"mlp{k}", weights, "Relu" if k < len(HIDDEN) - 1 else None)
    return graph.model(value)


def _attention(graph: GraphWriter, weights: dict[str, np.ndarray]) -> str:
    """The clicks (N, 50, 32), weighed by their likeness to the first two embeddings of the item: (N, 32)."""
    query = graph.node("Slice", "item", graph.integers(0), graph.integers(CLICK_WIDTH), graph.integers(1))
    query = graph.node("Expand", graph.node("Unsqueeze", query, graph.integers(1)), graph.node("Shape", "click"))
    pair = graph.node("Concat", query, "click", graph.node("Sub", query, "click"), graph.node("Mul", query, "click"), axis=2)
    for k in range(len(ATTENTION)):
        pair = graph.dense(pair, f"din{k}", weights, "Relu" if k < len(ATTENTION) - 1 else None)
    scale = graph.constant("scale", np.float32(np.sqrt(CLICK_WIDTH)))
    scores = graph.node("Div", graph.node("Squeeze", pair, graph.integers(2)), scale)
    scores = graph.node("Unsqueeze", graph.node("Softmax", scores, axis=1), graph.integers(1))
    return graph.node("Squeeze", graph.node("MatMul", scores, "click"), graph.integers(1))


def _names(prefix: str, values: np.ndarray) -> np.ndarray:
    """Texts of 7 to 12 bytes."""
    return np.char.add(f"{prefix}_", np.char.zfill(values.astype("U8"), 5))


def _drawn(rng: np.random.Generator, prefix: str, distinct: int, count: int) -> np.ndarray:
    """Values of a field, the low ones much more often than the high ones."""
    return _names(prefix, (distinct * rng.random(count) ** 2).astype(np.int64))


def _lists(rng: np.random.Generator, prefix: str, distinct: int, rows: int, shortest: int, longest: int) -> pa.Array:
    """list<string> with `shortest` to `longest` values in each row."""
    ends = np.concatenate([[0], np.cumsum(rng.integers(shortest, longest + 1, rows))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(_drawn(rng, prefix, distinct, int(ends[-1]))))


def _user_table(rng: np.random.Generator, requests: int, variant: str) -> pa.Table:
    columns = {name: pa.array(_drawn(rng, name, distinct, requests)) for name, distinct in USER_IDS.items()}
    columns |= {"age": pa.array(rng.integers(16, 90, requests)), "hour": pa.array(rng.integers(0, 24, requests))}
    columns |= {f"u_num{k}": pa.array(rng.lognormal(1, 1, requests).astype(np.float32)) for k in range(USER_NUMBERS)}
    columns["query"] = _lists(rng, "t", WORDS, requests, 2, 6)
    prefix = "" if variant == "mean" else "click__"
    columns[f"{prefix}seq_item"] = _lists(rng, "item_id", ITEM_IDS["item_id"], requests, CLICKS, CLICKS)
    columns[f"{prefix}seq_cat"] = _lists(rng, "category", ITEM_IDS["category"], requests, CLICKS, CLICKS)
    return pa.table(columns)


def _item_table(rng: np.random.Generator, requests: int, items: int, queries: list[list[str]]) -> pa.Table:
    rows = requests * items
    columns = {name: pa.array(_drawn(rng, name, distinct, rows)) for name, distinct in ITEM_IDS.items()}
    columns |= {name: _lists(rng, name, distinct, rows, 0, 6) for name, distinct in ITEM_LISTS.items()}
    titles = _lists(rng, "t", WORDS, rows, 6, 18).to_pylist()
    for row in range(0, rows, 3):  # a third of the titles has a word of the query
        query = queries[row // items]
        titles[row][0] = query[row % len(query)]
    columns["title"] = pa.array(titles, pa.list_(pa.string()))
    columns |= {f"i_num{k}": pa.array(rng.lognormal(1.0, 1.2, rows).astype(np.float32)) for k in range(ITEM_NUMBERS)}
    columns[REQUEST_COLUMN] = pa.array(np.repeat(np.arange(requests, dtype=np.int32), items))
    return pa.table(columns)
