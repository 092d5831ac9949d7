"""The scores of a workload by NumPy: features by the operators' references, pooling and dense layers in plain array code."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import Embedding, Feature
from tvm_rank.output import FeatureOutput
from tvm_rank.zoo.workload import REQUEST_COLUMN, Workload, request_of

Dense = Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], np.ndarray]


def scores(workload: Workload, dense: Dense, request: int | None = None) -> np.ndarray:
    """float32 (rows,) for all items, or those of a request; `dense` maps graph inputs and constants to logits (rows, 1)."""
    logits = dense(model_inputs(workload, request), workload.read_weights())
    return (1 / (1 + np.exp(-logits[:, 0]))).astype(np.float32)


def model_inputs(workload: Workload, request: int | None = None) -> dict[str, np.ndarray]:
    """What the dense model is fed: group or feature name -> (rows, width), float32, or int64 for the id of an ungrouped feature."""
    config = load_config(workload.features)
    columns, rows = item_columns(workload, request)
    tables = workload.read_tables()
    inputs: dict[str, list[np.ndarray]] = {}
    for feature in config.features:
        reference = importlib.import_module(f"tvm_rank.ops.{kind(feature)}").reference
        output = reference(feature, [columns[field.name] for field in feature.fields], rows, config.hash_function)
        inputs.setdefault(feature.group or feature.name, []).append(value_of(feature, output, tables))
    return {name: np.hstack(parts) for name, parts in inputs.items()}


def kind(feature: Feature) -> str:
    """The feature_type of a feature: IdFeature -> id_feature."""
    return type(feature).__name__.removesuffix("Feature").lower() + "_feature"


def item_columns(workload: Workload, request: int | None = None) -> tuple[dict[str, pa.Array], int]:
    """Every raw column with one row per item (request columns repeated), and the number of rows."""
    items = workload.read_items()
    if request is not None:
        items = items.filter(pa.array(request_of(items) == request))
    repeated = workload.read_user().take(pa.array(request_of(items)))
    columns = {name: table.column(name).combine_chunks() for table in (repeated, items) for name in table.column_names}
    columns.pop(REQUEST_COLUMN)
    return columns, items.num_rows


def value_of(feature: Feature, output: FeatureOutput, tables: Mapping[str, np.ndarray]) -> np.ndarray:
    """The graph input of one feature: pooled embedding (rows, dim), number (rows, value_dim), or its only id, int64 (rows, 1)."""
    if feature.embedding is not None:
        return pool(feature.embedding, output, tables[feature.embedding.table])
    if output.dense is not None:
        return output.dense.reshape(len(output.dense), -1)
    assert output.values is not None, "a feature has ids or numbers"
    return output.values.reshape(-1, 1)


def pool(embedding: Embedding, output: FeatureOutput, table: np.ndarray) -> np.ndarray:
    """Ragged ids -> float32 (rows, dim); an empty row pools to zeros.

    With weights w: sum is the sum of w * row, mean divides it by the sum of w, sqrtn by the root of the sum of w * w; max takes
    the largest of w * row in each position.

        values = [7 2 | | 5]   lengths = [2 0 1]   sum -> [row 7 + row 2, zeros, row 5]
    """
    values, lengths = output.values, output.lengths
    assert values is not None, "an embedding belongs to ids"
    assert lengths is not None, "an embedding belongs to ids"
    pooled = np.zeros((len(lengths), table.shape[1]), np.float32)
    for row, (end, length) in enumerate(zip(np.cumsum(lengths), lengths, strict=True)):
        if length == 0:
            continue
        chosen = slice(end - length, end)
        weights = np.ones(length) if output.weights is None else output.weights[chosen].astype(np.float64)
        vectors = weights[:, None] * table[values[chosen]]
        match embedding.combiner:
            case "max":
                pooled[row] = vectors.max(0)
            case "sum":
                pooled[row] = vectors.sum(0)
            case "mean":
                pooled[row] = vectors.sum(0) / weights.sum()
            case "sqrtn":
                pooled[row] = vectors.sum(0) / np.sqrt((weights**2).sum())
            case other:
                raise ValueError(f"{embedding.table}: no combiner {other!r}")
    return pooled
