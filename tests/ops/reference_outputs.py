"""Run the reference of one feature of fg.json, for the tests of the references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.config.load import load_config
from tvm_rank.ops.references import reference
from tvm_rank.output import FeatureOutput

WORDS = {
    "vocab_dict": {"a": 1, "b": 2, "p_a": 3, "f_a": 4, "a_c": 5, "a_d": 6, "b_c": 7, "b_d": 8, "f_a_c": 9},
    "default_bucketize_value": 0,
}


def output_of(feature: dict[str, Any], *columns: pa.Array, hash_function: str = "std", rows: int | None = None) -> FeatureOutput:
    loaded = load_config({"features": [{"feature_name": "f", **feature}]}).features[0]
    rows = max(map(len, columns)) if rows is None else rows
    return reference(loaded, columns, rows, hash_function)


def ids_of(column: pa.Array, **keys) -> list[list[int]]:
    return rows_of(output_of({"feature_type": "id_feature", "expression": "user:c", **keys}, column))


def rows_of(out: FeatureOutput) -> list[list[int]]:
    assert out.values is not None
    assert out.lengths is not None
    assert (out.values.dtype, out.lengths.dtype, out.dense) == (np.int64, np.int32, None)
    return [part.tolist() for part in np.split(out.values, np.cumsum(out.lengths)[:-1])]


def raw_of(column: pa.Array, **keys) -> FeatureOutput:
    return output_of({"feature_type": "raw_feature", "expression": "item:c", **keys}, column)


def dense_of(column: pa.Array, **keys) -> list[list[float]]:
    out = raw_of(column, **keys)
    assert out.dense is not None
    assert (out.dense.dtype, out.values, out.lengths) == (np.float32, None, None)
    return out.dense.tolist()
