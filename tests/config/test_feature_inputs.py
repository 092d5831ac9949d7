"""Inputs of the kind `feature:` and `const:`: sides, order, and what is refused."""

from __future__ import annotations

import pytest

from tvm_rank.config.dag import in_order
from tvm_rank.config.load import load_config
from tvm_rank.config.spec import Field
from tvm_rank.errors import ConfigError


def feature(name: str, expression: str | list[str], **keys) -> dict:
    kind = "combo_feature" if isinstance(expression, list) else "id_feature"
    return {"feature_name": name, "feature_type": kind, "expression": expression, "hash_bucket_size": 9, **keys}


def problems_of(*features: dict) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config({"features": list(features)})
    return caught.value.problems


def test_a_feature_is_request_side_when_all_that_it_is_made_of_is():
    config = load_config(
        {
            "features": [
                feature("deep", ["feature:user_only", "const:x"]),
                feature("mixed", ["feature:deep", "feature:of_item"]),
                feature("user_only", "user:a"),
                feature("of_item", "item:a"),
            ]
        }
    )
    assert {f.name: f.is_request for f in config.features} == {"deep": True, "mixed": False, "user_only": True, "of_item": False}
    assert config.features[0].fields == (Field(side="feature", name="user_only", request=True), Field(side="const", name="x"))


def test_features_are_put_behind_those_that_they_read():
    config = load_config(
        {"features": [feature("c", ["feature:b", "feature:a"]), feature("b", "feature:a"), feature("a", "item:x")]}
    )
    assert [f.name for f in config.features] == ["c", "b", "a"]
    assert [f.name for f in in_order(config.features)] == ["a", "b", "c"]


def test_a_circle_is_refused_with_its_way():
    (problem,) = problems_of(feature("a", "feature:c"), feature("b", "feature:a"), feature("c", ["feature:b", "item:x"]))
    assert problem == "features[0]: features read each other in a circle: a -> c -> b -> a"


def test_two_circles_are_told_at_once():
    found = problems_of(feature("a", "feature:a"), feature("b", "feature:c"), feature("c", "feature:b"))
    assert found == (
        "features[0]: features read each other in a circle: a -> a",
        "features[1]: features read each other in a circle: b -> c -> b",
    )


def test_a_chain_of_a_thousand_features_is_no_problem():
    chain = [feature(f"f{k}", f"feature:f{k - 1}" if k else "user:a") for k in reversed(range(1000))]
    config = load_config({"features": chain})
    assert [f.name for f in in_order(config.features)] == [f"f{k}" for k in range(1000)]


def test_an_unknown_feature_is_refused_with_the_nearest_name():
    (problem,) = problems_of(feature("clicks", "user:a"), feature("b", "feature:click"))
    assert problem == "features[1]: the input 'feature:click' is no feature of this file; did you mean 'clicks'?"


def test_a_stub_may_have_no_bucketizer():
    text = {key: value for key, value in feature("a", "user:a").items() if key != "hash_bucket_size"}
    config = load_config({"features": [text | {"stub_type": True}, feature("b", "feature:a")]})
    assert [f.stub for f in config.features] == [True, False]
    assert config.features[0].yields_texts
