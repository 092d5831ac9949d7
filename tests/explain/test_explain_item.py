"""explain_item: each step from field to id, the defaults and why they were used, and what is said when program and reference differ."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tvm_rank import features as features_module
from tvm_rank.config.load import load_config
from tvm_rank.errors import InputError
from tvm_rank.explain.explain import explain_item
from tvm_rank.explain.trace import FeatureTrace, ValueTrace
from tvm_rank.ops import references
from tvm_rank.ops.hashes import hash_std
from tvm_rank.output import FeatureOutput

FG: dict[str, Any] = {
    "features": [
        {"feature_name": "city", "feature_type": "id_feature", "expression": "user:city", "hash_bucket_size": 100, "separator": "|",
         "need_prefix": True, "default_value": "nowhere"},
        {"feature_name": "tags", "feature_type": "id_feature", "expression": "item:tags", "weighted": True, "hash_bucket_size": 100},
        {"feature_name": "hour", "feature_type": "id_feature", "expression": "context:hour", "num_buckets": 24, "need_prefix": True},
        {"feature_name": "level", "feature_type": "raw_feature", "expression": "item:price", "boundaries": [0, 0.5],
         "normalizer": "method=minmax,min=0,max=10", "default_value": "7"},
        {"feature_name": "price", "feature_type": "raw_feature", "expression": "item:price", "normalizer": "method=minmax,min=0,max=10"},
        {"feature_name": "cross", "feature_type": "combo_feature", "expression": ["user:city", "item:tags"], "hash_bucket_size": 1000},
        {"feature_name": "words", "feature_type": "id_feature", "expression": "user:city", "separator": "|", "stub_type": True},
        {"feature_name": "reader", "feature_type": "id_feature", "expression": "feature:words", "vocab_list": ["ab"],
         "default_bucketize_value": 5},
    ]
}  # fmt: skip
USER = {"city": ["ab|é"], "hour": [3]}
ITEMS = {"tags": [["x:0.5", "y"], [], None], "price": [2.5, None, 20.0]}


@pytest.fixture(scope="module", autouse=True)
def compile_once() -> Iterator[None]:
    """A configuration is compiled once: it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features_module, "program_of", functools.lru_cache(features_module.program_of))
        yield


@pytest.fixture(scope="module")
def config() -> Any:
    return load_config(FG)


@pytest.fixture(scope="module")
def traces(config: Any, compile_once: None) -> dict[str, FeatureTrace]:
    del compile_once
    return {trace.name: trace for trace in explain_item(config, USER, ITEMS, 0)}


def test_texts_are_shown_as_they_are_hashed(traces: dict[str, FeatureTrace]):
    city = traces["city"]
    assert [(one.side, one.name, one.type, one.value) for one in city.inputs] == [("user", "city", "string", "ab|é")]
    assert [(value.text, value.id) for value in city.values] == [
        (text, hash_std(text.encode()) % 100) for text in ("city_ab", "city_é")
    ]
    assert (city.rule, city.missing) == ("hash std mod 100", "")
    assert [value.text for value in traces["cross"].values] == ["ab|é_x:0.5", "ab|é_y"]
    assert traces["hour"].values == (ValueTrace(text="3", id=3),)  # num_buckets reads it without its prefix


def test_weights_come_with_their_keys(traces: dict[str, FeatureTrace]):
    assert [(value.text, value.weight) for value in traces["tags"].values] == [("x", 0.5), ("y", 1.0)]


def test_numbers_are_shown_before_and_behind_the_normalizer(traces: dict[str, FeatureTrace]):
    assert traces["level"].values == (ValueTrace(number=2.5, normalized=0.25, id=1),)
    assert traces["price"].values == (ValueTrace(number=2.5, normalized=0.25),)
    assert traces["level"].rule == "minmax 0..10, 2 boundaries"


def test_features_that_are_read_are_inputs_with_values(traces: dict[str, FeatureTrace]):
    assert [value.text for value in traces["words"].values] == ["ab", "é"]
    (read,) = traces["reader"].inputs
    assert (read.side, read.name, read.value) == ("feature", "words", ["ab", "é"])
    assert [(value.text, value.id) for value in traces["reader"].values] == [("ab", 0), ("é", 5)]


def test_the_compiled_program_confirms_every_step(traces: dict[str, FeatureTrace]):
    assert {name: (trace.differences, trace.unconfirmed, trace.error) for name, trace in traces.items()} == {
        name: ((), (), "") for name in traces
    }


def test_a_default_is_marked_and_its_reason_given(config: Any):
    user = {"city": [None], "hour": [3]}
    empty = {trace.name: trace for trace in explain_item(config, user, ITEMS, 1)}
    assert empty["city"].missing == "null: user:city"
    assert [(value.text, value.is_default) for value in empty["city"].values] == [("nowhere", True)]
    assert (empty["tags"].missing, empty["tags"].values) == ("empty: item:tags", ())
    assert empty["cross"].missing == "null: user:city"
    assert empty["level"].values == (ValueTrace(normalized=7.0, id=2, is_default=True),)
    assert empty["level"].missing == "null: item:price"
    assert empty["hour"].missing == ""
    assert {trace.name: trace.differences for trace in empty.values()} == {name: () for name in empty}


def test_a_row_that_is_refused_says_why_and_the_others_are_explained(config: Any):
    found = {trace.name: trace for trace in explain_item(config, {"city": ["a"], "hour": ["noon"]}, ITEMS, 2, ["hour", "city"])}
    assert "num_buckets" in found["hour"].error
    assert [value.text for value in found["hour"].values] == ["noon"]
    assert found["city"].error == ""
    assert [value.id for value in found["city"].values] == [hash_std(b"city_a") % 100]


def test_a_difference_is_said_with_its_step(config: Any, monkeypatch: pytest.MonkeyPatch):
    right = references.REFERENCES["id_feature"]

    def wrong(*arguments: Any) -> FeatureOutput:
        out = right(*arguments)
        return out if out.values.dtype == object else FeatureOutput(values=out.values + 1, lengths=out.lengths, weights=out.weights)

    monkeypatch.setitem(references.REFERENCES, "id_feature", wrong)
    found = {trace.name: trace for trace in explain_item(config, USER, ITEMS, 0)}
    assert found["hour"].differences[0] == "values: the compiled program has values [3], the reference [4]"
    assert found["hour"].differences[1].startswith("texts: the compiled program has values")
    assert found["price"].differences == ()


def test_json_has_plain_values(traces: dict[str, FeatureTrace]):
    entry = traces["level"].to_json()
    assert entry["values"] == ({"number": 2.5, "normalized": 0.25, "id": 1, "is_default": False},) or entry["values"] == [
        {"number": 2.5, "normalized": 0.25, "id": 1, "is_default": False}
    ]
    assert entry["inputs"][0] == {"side": "item", "name": "price", "type": "double", "value": 2.5}


def test_what_is_not_there_is_refused(config: Any):
    with pytest.raises(InputError, match=r"feature 'citi': the configuration has none of this name; did you mean 'city'\?"):
        explain_item(config, USER, ITEMS, 0, ["citi"])
    with pytest.raises(InputError, match="items: has 3 rows, so that there is no row 9"):
        explain_item(config, USER, ITEMS, 9)
    with pytest.raises(InputError, match="items: column 'tags' is missing"):
        explain_item(config, USER, {"price": [1.0]}, 0)
    twice = load_config(
        {"features": [{**FG["features"][0]}, {**FG["features"][0], "feature_name": "b", "expression": "item:city"}]}
    )
    with pytest.raises(InputError, match="column 'city' is read of user and of items"):
        explain_item(twice, USER, {"city": ["a"]}, 0)


def test_a_user_row_serves_all_items_and_slices_are_read_right(config: Any):
    import pyarrow as pa

    items = pa.table({name: pa.array(values) for name, values in ITEMS.items()})
    (trace,) = explain_item(config, pa.table(USER), items.slice(2), 0, ["price"], steps=False)
    assert trace.values == (ValueTrace(number=20.0, normalized=2.0),)
    assert np.isclose(trace.values[0].normalized, 2.0)
