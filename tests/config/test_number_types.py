"""combine_feature, bool_mask_feature and slice_feature in fg.json: what a wrong one is told."""

from __future__ import annotations

import pytest

from tvm_rank.config.load import load_config
from tvm_rank.errors import ConfigError

COMBINE = {"feature_name": "f", "feature_type": "combine_feature", "expression": "user:v"}
MASK = {"feature_name": "f", "feature_type": "bool_mask_feature", "expression": ["user:v", "user:m"], "num_buckets": 3}
SLICE = {"feature_name": "f", "feature_type": "slice_feature", "expression": "user:v", "start": 1, "num_buckets": 3}


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (COMBINE | {"combiner": "median"}, "combiner: unknown value 'median'"),
        (COMBINE | {"value_map": {}}, "value_map: wanted an object of at least one text and its number, got an empty object"),
        (COMBINE | {"value_map": {"a": "1"}}, "value_map: wanted a number for 'a', got the text '1'"),
        (COMBINE | {"value_dim": 2}, "value_dim: wanted an integer of at most 1"),
        (COMBINE | {"hash_bucket_size": 2}, "hash_bucket_size: belongs to"),
        (COMBINE | {"num_buckets": 2, "value_type": "float"}, "num_buckets: needs a value_type of 'int32' or 'int64'"),
        (MASK | {"expression": ["user:v"]}, "expression: wanted a list of at least two input columns"),
        (MASK | {"expression": ["user:v", "user:m", "user:n"]}, "expression: wanted two input columns, values and mask"),
        ({key: value for key, value in SLICE.items() if key != "start"}, "'start' is missing; give 'start', 'end' or both"),
        (SLICE | {"end": "2"}, "end: wanted an integer of int64, got the text '2'"),
        (SLICE | {"start": 2**70}, "start: wanted an integer of int64"),
        (SLICE | {"unit": "bytes"}, "unit: unknown value 'bytes'; allowed: value, character"),
    ],
)
def test_a_wrong_feature_is_told_where_and_what_was_wanted(feature, message):
    with pytest.raises(ConfigError) as caught:
        load_config({"features": [feature]})
    assert any(message in problem for problem in caught.value.problems), caught.value.problems


def test_bm25_is_refused_with_the_reason():
    with pytest.raises(ConfigError, match=r"'bm25_feature' is not supported yet; .* corpus statistics are public"):
        load_config({"features": [{"feature_name": "f", "feature_type": "bm25_feature", "query": "user:q", "document": "item:d"}]})
