"""DLRM for the Criteo display-advertising rows: 13 numbers, 26 hashed categories, dot products of all pairs.

Naumov et al. 2019, "Deep Learning Recommendation Model for Personalization and Recommendation Systems". Graph inputs: the groups
`numbers` (N, 13) and `categories` (N, 26 * 16). A row of the data is one item; nothing is known of the request.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.csv

from tvm_rank.errors import InputError
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights
from tvm_rank.zoo.workload import REQUEST_COLUMN, Workload

DIM = 16
NUMBERS = [f"I{k}" for k in range(1, 14)]
CATEGORIES = [f"C{k}" for k in range(1, 27)]
VECTORS = 1 + len(CATEGORIES)
PAIRS = VECTORS * (VECTORS - 1) // 2
LAYERS = {
    "bottom0": (len(NUMBERS), 64), "bottom1": (64, DIM),
    "top0": (DIM + PAIRS, 128), "top1": (128, 64), "top2": (64, 1),
}  # fmt: skip
# mean and standard deviation of ln(1 + x) in each number column, as the generator draws it
SCALES = [(1.0 + 0.4 * k, 1.0 + 0.1 * k) for k in range(len(NUMBERS))]


def build(
    folder: str | pathlib.Path,
    *,
    seed: int = 0,
    requests: int = 1,
    items: int = 200,
    buckets: int = 1000,
    rows: pa.Table | None = None,
) -> Workload:
    """Write the model with `buckets` rows in each table, and the items to score.

    These are `rows` as one request (a table as `read_tsv` gives it), or else `requests` times `items` generated ones.
    """
    rng = np.random.default_rng(seed)
    tables = {name: rng.normal(0, 0.25, (buckets, DIM)).astype(np.float32) for name in CATEGORIES}
    weights = dense_weights(rng, LAYERS)
    count = requests if rows is None else 1
    rows = generate(requests * items, rng=rng) if rows is None else rows.select([*NUMBERS, *CATEGORIES])
    request = np.repeat(np.arange(count, dtype=np.int32), len(rows) // count)
    return Workload.write(
        model_name="criteo",
        folder=folder,
        features=feature_config(buckets),
        model=_graph(weights),
        tables=tables,
        user=pa.table({"request_id": pa.array(range(count), pa.int64())}),
        items=rows.append_column(REQUEST_COLUMN, pa.array(request)),
    )


def feature_config(buckets: int) -> dict[str, Any]:
    """fg.json: ln and z-score of the numbers, hashes of the categories; a missing number is the mean, a missing category no id."""
    features: list[dict[str, Any]] = []
    for name, (mean, deviation) in zip(NUMBERS, SCALES, strict=True):
        formula = f"method=expression,expr=(ln(1+(x>0?x:0))-{mean:.1f})/{deviation:.1f}"
        features.append(
            {"feature_name": f"{name}_z", "feature_type": "raw_feature", "expression": f"item:{name}", "value_type": "float",
             "normalizer": formula, "default_value": "0", "group": "numbers"}
        )  # fmt: skip
    for name in CATEGORIES:
        features.append(
            {"feature_name": name, "feature_type": "id_feature", "expression": f"item:{name}", "value_type": "string",
             "hash_bucket_size": buckets, "default_value": "", "embedding_dim": DIM, "combiner": "sum", "group": "categories"}
        )  # fmt: skip
    return {"hash_function": "std", "features": features}


def generate(rows: int, *, rng: np.random.Generator) -> pa.Table:
    """Rows with the look of the data set: heavy-tailed counts with gaps, hexadecimal categories of very different frequency."""
    columns = {}
    for name, (mean, deviation) in zip(NUMBERS, SCALES, strict=True):
        values = np.expm1(rng.normal(mean, deviation, rows)).clip(-3, 2**31).astype(np.int64)
        columns[name] = pa.array(values, mask=rng.random(rows) < rng.uniform(0, 0.5))
    for name in CATEGORIES:
        words = [f"{word:08x}" for word in rng.integers(0, 2**32, int(rng.integers(2, 5000)))]
        values = np.array(words)[(rng.zipf(1.2, rows) - 1) % len(words)]
        columns[name] = pa.array(values, pa.string(), mask=rng.random(rows) < rng.choice([0.0, 0.4]))
    return pa.table(columns)


def read_tsv(path: str | pathlib.Path) -> pa.Table:
    """Criteo's file as a table: label and I1 to I13 int64, C1 to C26 string; an empty cell is null.

    Read are tab-separated lines without a header, as the data set comes, and comma-separated ones with the header
    `label,I1,...,C26`, as samples of it are passed around. Raises InputError with the place when a line does not fit.
    """
    names = ["label", *NUMBERS, *CATEGORIES]
    with open(path, encoding="utf-8", errors="replace") as file:
        first = file.readline().rstrip("\r\n")
    separator = "\t" if "\t" in first else ","
    has_header = first.split(separator) == names
    types = {name: pa.string() if name in CATEGORIES else pa.float64() for name in names}
    try:
        table = pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(column_names=names, skip_rows=int(has_header), use_threads=False),
            parse_options=pa.csv.ParseOptions(delimiter=separator, quote_char=False),
            convert_options=pa.csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
        )
        whole = [table.column(name).cast(pa.int64()) if name not in CATEGORIES else table.column(name) for name in names]
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: not Criteo's format (label, 13 whole numbers, 26 categories, separated by tabs): {error}"
        ) from error
    return pa.table(dict(zip(names, whole, strict=True)))


def _graph(weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    graph = GraphWriter("dlrm", {"numbers": (len(NUMBERS),), "categories": (len(CATEGORIES) * DIM,)})
    bottom = graph.dense(graph.dense("numbers", "bottom0", weights, "Relu"), "bottom1", weights, "Relu")
    vectors = graph.node("Concat", bottom, "categories", axis=1)
    vectors = graph.node("Reshape", vectors, graph.integers(-1, VECTORS, DIM))
    products = graph.node("MatMul", vectors, graph.node("Transpose", vectors, perm=[0, 2, 1]))
    products = graph.node("Reshape", products, graph.integers(-1, VECTORS * VECTORS))
    first, second = np.tril_indices(VECTORS, -1)
    chosen = graph.constant("pairs", (first * VECTORS + second).astype(np.int64))
    top = graph.node("Concat", bottom, graph.node("Gather", products, chosen, axis=1), axis=1)
    top = graph.dense(graph.dense(top, "top0", weights, "Relu"), "top1", weights, "Relu")
    return graph.model(graph.dense(top, "top2", weights))


def dense(inputs: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """The graph in NumPy: `numbers` (N, 13) and `categories` (N, 416) -> logits float64 (N, 1)."""

    def layer(x: np.ndarray, name: str) -> np.ndarray:
        return np.maximum(x @ weights[f"{name}_w"] + weights[f"{name}_b"], 0)

    bottom = layer(layer(inputs["numbers"].astype(np.float64), "bottom0"), "bottom1")
    vectors = np.hstack([bottom, inputs["categories"]]).reshape(-1, VECTORS, DIM)
    products = vectors @ vectors.transpose(0, 2, 1)
    first, second = np.tril_indices(VECTORS, -1)
    top = layer(layer(np.hstack([bottom, products[:, first, second]]), "top0"), "top1")
    return top @ weights["top2_w"] + weights["top2_b"]
