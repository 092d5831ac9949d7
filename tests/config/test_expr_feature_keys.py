"""expr_feature in fg.json: what is read, and what a wrong one is told."""

from __future__ import annotations

import pytest

from tvm_rank.config.load import load_config
from tvm_rank.config.nodes import Binary, Call, Variable
from tvm_rank.config.spec import HashBucket, NumBuckets
from tvm_rank.errors import ConfigError

GOOD = {"feature_name": "f", "feature_type": "expr_feature", "expression": "a+b", "variables": ["user:a", "item:b"]}


def test_a_formula_its_variables_and_its_defaults_are_read():
    feature = load_config({"features": [GOOD]}).features[0]
    assert (feature.variables, feature.tree) == (("a", "b"), Binary("+", Variable("a"), Variable("b")))
    assert (feature.value_type, feature.defaults, feature.fill_missing, feature.value_dim) == ("float", (0.0,), None, 1)
    assert not feature.is_request
    keys = {"expression": "dot(a,b)", "hash_bucket_size": 7, "value_type": "DOUBLE", "fill_missing": "1e3", "default_value": "0.1"}
    feature = load_config({"features": [GOOD | keys]}).features[0]
    assert (feature.tree, feature.bucketizer) == (Call("dot", (Variable("a"), Variable("b"))), HashBucket(size=7))
    assert (feature.value_type, feature.defaults, feature.fill_missing) == ("double", (0.1,), 1000.0)
    feature = load_config({"features": [GOOD | {"num_buckets": 7, "value_dim": 0}]}).features[0]
    assert (feature.value_type, feature.bucketizer, feature.value_dim) == ("int64", NumBuckets(size=7), 0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"expression": "a+c"}, "expression: column 3: found 'c', wanted the variable 'a' or 'b'"),
        ({"expression": "a+"}, "expression: column 3: found the end"),
        ({"expression": "rnd(0)"}, "expression: column 1: function 'rnd' cannot be used here: a random number"),
        ({"expression": "+".join(["(a*b)"] * 90) + "+max(" + ",".join("a" * 200) + ")"}, "has more than 400 operators and values"),
        ({"expression": "(" * 200 + "a"}, "nested deeper than 100 levels"),
        ({"expression": ""}, "expression: is empty"),
        ({"variables": []}, "variables: wanted a list of at least one input column"),
        ({"variables": ["user:a", "item:a"]}, "variables: at [1]: a second variable 'a'; rename a column"),
        ({"variables": ["user:sin", "item:b"]}, "variables: at [0]: 'sin' is the name of a function"),
        ({"variables": ["user:a-b"]}, "variables: at [0]: 'a-b' cannot stand in a formula"),
        ({"fill_missing": "x"}, "fill_missing: wanted a number or 'NaN'"),
        ({"value_type": "string"}, "value_type: wanted 'float', 'double', 'int32' or 'int64'"),
        ({"boundaries": [1], "hash_bucket_size": 3}, "hash_bucket_size: a second bucketizer beside 'boundaries'"),
        ({"boundaries": [1], "value_type": "int64"}, "boundaries: needs a value_type of 'float' or 'double', got 'int64'"),
        ({"num_buckets": 9, "value_type": "float"}, "num_buckets: needs a value_type of 'int32' or 'int64', got 'float'"),
        ({"num_buckets": 9, "default_value": "0.5"}, "default_value: num_buckets needs an integer"),
        ({"value_dim": 0}, "value_dim: wanted an integer of at least 1"),
        ({"default_value": "x"}, "default_value: 'x' is not a number"),
        ({"vocab_list": ["1"]}, "vocab_list: belongs to"),
        ({"embedding_dim": 4}, "embedding_dim: a number has no id to look up"),
    ],
)
def test_a_wrong_expr_feature_is_told_where_and_what_was_wanted(keys, message):
    with pytest.raises(ConfigError) as caught:
        load_config({"features": [GOOD | keys]})
    assert any(f"features[0].{message}" in problem or message in problem for problem in caught.value.problems), caught.value
