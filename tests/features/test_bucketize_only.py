"""bucketize_only: columns of generated values, named by feature, are only bucketized."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import tvm_rank
from tvm_rank.errors import InputError

STRINGS, NESTED = pa.list_(pa.string()), pa.list_(pa.list_(pa.string()))
_ID = {"feature_type": "id_feature", "num_buckets": 1000}
FG = {
    "features": [
        {"feature_name": "cat", "feature_type": "id_feature", "expression": "item:cat_a", "num_buckets": 100, "need_prefix": True},
        {"feature_name": "tag", "expression": "user:tag_b", **_ID},
        {"feature_name": "number", "feature_type": "raw_feature", "expression": "user:int_a", "normalizer": "method=log10"},
        {"feature_name": "pair", "feature_type": "raw_feature", "expression": "item:int_b", "value_dim": 2},
        {"feature_name": "look", "feature_type": "lookup_feature", "map": "user:m", "key": "item:cat_a", "combiner": "sum",
         "needDiscrete": False, "default_value": "0"},
        {"feature_name": "level", "feature_type": "expr_feature", "expression": "a + b", "variables": ["user:a", "user:b"],
         "boundaries": [0, 10], "default_value": "20"},
        {"feature_name": "word", "feature_type": "regex_replace_feature", "expression": "item:t", "regex_pattern": "a", "replacement": "b",
         "vocab_list": ["a", "b"], "default_bucketize_value": 5},
        {"feature_name": "helper", "feature_type": "id_feature", "expression": "item:t", "stub_type": True},
        {"sequence_name": "click", "sequence_delim": ";", "sequence_pk": "user:click", "features": [
            {"feature_name": "cat", "feature_type": "id_feature", "expression": "item:cat_a", "num_buckets": 100, "value_dim": 1,
             "default_value": "0"},
            {"feature_name": "number", "feature_type": "raw_feature", "expression": "item:int_a", "default_value": "0"},
            {"feature_name": "tag", "expression": "item:tag_b", "default_value": "0", **_ID},
        ]},
    ]
}  # fmt: skip
COLUMNS = {
    "cat": pa.array([["1"], ["2"], ["3"]], STRINGS),
    "tag": pa.array([["4", "5"], [], ["6"]], STRINGS),
    "number": pa.array([7.0, 8.0, 9.0], pa.float32()),
    "pair": pa.array([[27.0, 37.0], [28.0, 38.0], [29.0, 39.0]], pa.list_(pa.float32())),
    "look": pa.array([0.5, None, 0.25], pa.float32()),
    "level": pa.array([-1.0, None, 10.0]),
    "word": pa.array(["a", "b", "ab"]),
    "click__cat": pa.array([["10", "11", "12"], ["13"], ["0"]], STRINGS),
    "click__number": pa.array([[14.0, 15.0, 16.0], [17.0], [0.0]], pa.list_(pa.float32())),
    "click__tag": pa.array([[["17", "18"], ["19"], ["20", "21"]], [["22"]], [["0"]]], NESTED),
}


@pytest.fixture(scope="module")
def program() -> tvm_rank.FeatureProgram:
    return tvm_rank.compile_features(FG, bucketize_only=True)


def test_generated_values_are_only_bucketized(program):
    out = program(COLUMNS)
    assert list(out) == list(COLUMNS)
    assert out["cat"].values.tolist() == [1, 2, 3]
    assert (out["tag"].values.tolist(), out["tag"].lengths.tolist()) == ([4, 5, 6], [2, 0, 1])
    assert out["number"].dense.tolist() == [[7.0], [8.0], [9.0]]
    assert out["pair"].dense.tolist() == [[27.0, 37.0], [28.0, 38.0], [29.0, 39.0]]
    assert out["look"].dense.tolist() == [[0.5], [0.0], [0.25]]
    assert out["level"].values.tolist() == [0, 2, 2]
    assert out["word"].values.tolist() == [0, 1, 5]


def test_generated_sequences_keep_their_elements(program):
    out = program(COLUMNS)
    assert (out["click__cat"].values.tolist(), out["click__cat"].lengths.tolist()) == ([10, 11, 12, 13, 0], [3, 1, 1])
    np.testing.assert_array_equal(out["click__number"].dense, [[14], [15], [16], [17], [0]])
    assert out["click__number"].lengths.tolist() == [3, 1, 1]
    tag = out["click__tag"]
    assert (tag.values.tolist(), tag.lengths.tolist(), tag.key_lengths.tolist()) == (
        [17, 18, 19, 20, 21, 22, 0],
        [3, 1, 1],
        [2, 1, 2, 1, 1],
    )


def test_the_columns_are_named_by_feature(program):
    assert set(program.fields) == set(COLUMNS)
    with pytest.raises(InputError, match="column 'tag' is missing"):
        program({name: column for name, column in COLUMNS.items() if name != "tag"})
