"""The scores of a workload by NumPy: features by the operators' references, pooling and dense layers in plain array code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import Feature
from tvm_rank.ops import lookup
from tvm_rank.ops.references import reference
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
        output = reference(feature, [columns[field.name] for field in feature.fields], rows, config.hash_function)
        inputs.setdefault(feature.group or feature.name, []).append(value_of(feature, output, tables))
    return {name: np.hstack(parts) for name, parts in inputs.items()}


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
        assert output.values is not None, "an embedding belongs to ids"
        assert output.lengths is not None, "an embedding belongs to ids"
        table = tables[feature.embedding.table]
        return lookup.reference(output.values, output.lengths, output.weights, table, feature.embedding.combiner)
    if output.dense is not None:
        return output.dense.reshape(len(output.dense), -1)
    assert output.values is not None, "a feature has ids or numbers"
    return output.values.reshape(-1, 1)
