"""explain_item over sequences, features of libraries, functions and maps: each step shown, and confirmed by the compiled program."""

from __future__ import annotations

from typing import Any

import pytest

import tvm_rank
from tvm_rank.config.load import load_config
from tvm_rank.errors import InputError
from tvm_rank.explain.explain import explain_item
from tvm_rank.explain.trace import FeatureTrace, ValueTrace
from tvm_rank.ops.hashes import hash_std


@tvm_rank.udf
def scaled(x: float, *, by: float = 1.0) -> float | None:
    if x < 0:
        return None
    return x * by


SEQUENCE = [
    {"feature_name": "id", "feature_type": "id_feature", "expression": "user:id", "num_buckets": 100, "separator": "|"},
    {"feature_name": "price", "feature_type": "raw_feature", "expression": "user:price", "normalizer": "method=log10"},
    {"feature_name": "liked", "feature_type": "lookup_feature", "map": "user:likes", "key": "item:id", "needDiscrete": False},
    {"feature_name": "word", "feature_type": "regex_replace_feature", "expression": "user:word", "regex_pattern": "x",
     "replacement": "y", "hash_bucket_size": 50},
]  # fmt: skip
FG: dict[str, Any] = {
    "features": [
        {"feature_name": "double", "feature_type": "custom_feature", "operator_name": "scaled", "by": 2, "expression": "item:x",
         "boundaries": [1, 10], "default_value": "4"},
        {"feature_name": "digits", "feature_type": "regex_replace_feature", "expression": "item:title", "regex_pattern": "[^0-9]",
         "num_buckets": 100, "default_value": "0"},
        {"feature_name": "words", "feature_type": "text_normalizer", "expression": "item:title", "hash_bucket_size": 100,
         "separator": " ", "parameter": 4, "default_value": "no Title"},
        {"sequence_name": "click", "sequence_length": 3, "features": SEQUENCE},
    ]
}  # fmt: skip
USER = {"click__id": ["1|2;3;;4"], "click__price": [[1.0, 20.0, None]], "likes": ["1:0.5\x1d3:2"], "click__word": ["ax;b"]}
ITEMS = {"title": ["Red 77 dress", None], "x": [3.0, -1.0]}


@pytest.fixture(scope="module")
def traces() -> list[dict[str, FeatureTrace]]:
    config = load_config(FG, udfs=[scaled])
    return [{trace.name: trace for trace in explain_item(config, USER, ITEMS, k)} for k in range(2)]


def test_the_compiled_program_confirms_every_step(traces):
    for of_item in traces:
        found = {name: (trace.differences, trace.unconfirmed, trace.error) for name, trace in of_item.items()}
        assert found == {name: ((), (), "") for name in of_item}


def test_elements_of_a_sequence_are_shown_with_their_defaults(traces):
    ids = traces[0]["click__id"]
    assert [(value.text, value.id, value.is_default) for value in ids.values] == [
        ("1", 1, False),
        ("2", 2, False),
        ("3", 3, False),
        ("0", 0, True),
    ]
    assert ids.key_lengths == (2, 1, 1)
    price = traces[0]["click__price"]
    assert [(value.number, value.normalized, value.is_default) for value in price.values][0::2] == [
        (1.0, 0.0, False),
        (None, 0.0, True),
    ]
    assert [value.text for value in traces[0]["click__word"].values] == ["ay", "b"]
    assert [value.number for value in traces[0]["click__liked"].values] == [None, 2.0, None]


def test_a_column_that_user_and_items_share_comes_from_the_one_that_has_it(traces):
    assert [one.value for one in traces[0]["click__liked"].inputs] == ["1:0.5\x1d3:2", "1|2;3;;4"]
    config = load_config(
        {
            "features": [
                {"feature_name": side, "feature_type": "raw_feature", "expression": f"{side}:x"} for side in ("user", "item")
            ]
        }
    )
    assert [trace.values[0].number for trace in explain_item(config, {"x": [3.0]}, {"x": [1.0, 3.0]}, 1, ["user", "item"])] == [
        3,
        3,
    ]
    with pytest.raises(InputError, match="column 'x' is read of user and of items, which differ"):
        explain_item(config, {"x": [3.0]}, {"x": [1.0, 3.0]}, 0)


def test_texts_of_libraries_are_shown_as_they_are_hashed(traces):
    words = traces[0]["words"]
    assert [(value.text, value.id) for value in words.values] == [
        (text, hash_std(text.encode()) % 100) for text in ("red", "77", "dress")
    ]
    assert traces[0]["digits"].values == (ValueTrace(text="77", id=77),)
    assert [(value.text, value.is_default) for value in traces[1]["words"].values] == [("no Title", True)]
    assert traces[1]["words"].missing == "null: item:title"


def test_results_of_functions_are_shown(traces):
    assert traces[0]["double"].values == (ValueTrace(number=6.0, normalized=None, id=1),)
    (missing,) = traces[1]["double"].values
    assert (missing.id, missing.is_default) == (1, True)
    assert traces[1]["double"].missing == "custom_feature finds no value in its inputs"
