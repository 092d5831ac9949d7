"""Very long rows of expr, combine, bool_mask and slice features: the time grows with the bytes, and the results are right."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest

from tvm_rank.features import compile_features

OPTIMIZED = True  # see tests/conftest.py

COUNT = 1_000_000
SECONDS = 20.0  # the calls take less than one on an idle machine; quadratic work would take hours


@pytest.fixture(scope="module")
def program():
    expr = {"feature_type": "expr_feature", "separator": "|"}
    ids = {"separator": "|", "hash_bucket_size": 2**40}
    return compile_features(
        {
            "features": [
                {**expr, "feature_name": "sum", "expression": "reduce_sum(a) - len(a)", "variables": ["item:a"]},
                {
                    **expr,
                    "feature_name": "twice",
                    "expression": "a * 2",
                    "variables": ["item:a"],
                    "value_dim": 0,
                    "boundaries": [1.5, 2.5],
                },
                {
                    "feature_name": "count",
                    "feature_type": "combine_feature",
                    "expression": "item:a",
                    "separator": "|",
                    "combiner": "count",
                },
                {"feature_name": "kept", "feature_type": "bool_mask_feature", "expression": ["item:a", "item:a"], **ids},
                {"feature_name": "last", "feature_type": "slice_feature", "expression": "item:a", "start": -2, **ids},
                {
                    "feature_name": "end",
                    "feature_type": "slice_feature",
                    "expression": "item:b",
                    "start": -2,
                    "unit": "character",
                    **ids,
                },
            ]
        }
    )


@pytest.mark.parametrize("form", ["list", "text"])
def test_a_row_of_a_million_values_takes_time_in_proportion(program, form):
    values = np.ones(COUNT, np.int64)
    values[-1] = 5
    row = values.tolist() if form == "list" else "|".join(map(str, values.tolist()))
    started = time.perf_counter()
    out = program({"a": pa.array([row, row[:1]]), "b": pa.array(["價" * (10 * COUNT // 3), "ab"])})
    assert time.perf_counter() - started < SECONDS
    assert out["sum"].dense.tolist() == [[4.0], [0.0]]
    assert out["count"].dense.tolist() == [[float(COUNT)], [1.0]]
    assert out["twice"].lengths.tolist() == [COUNT, 1]
    assert np.bincount(out["twice"].values).tolist() == [0, COUNT, 1]
    assert (out["kept"].lengths.tolist(), len(set(out["kept"].values.tolist()))) == ([COUNT - 1, 1], 1)
    assert out["last"].lengths.tolist() == [2, 1]
    assert out["end"].lengths.tolist() == [1, 1]
