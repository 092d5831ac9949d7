"""Sequence groups and sequence features: names of outputs and columns, what is split, and what is refused."""

from __future__ import annotations

import pytest

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import Feature, Field, Sequence
from tvm_rank.errors import ConfigError

ID = {"feature_name": "item", "feature_type": "id_feature", "expression": "user:id", "hash_bucket_size": 9}
COMBO = {"feature_name": "pair", "feature_type": "combo_feature", "hash_bucket_size": 9,
         "expression": ["user:who", "item:id", "user:when", "const:x"], "sequence_fields": ["when"]}  # fmt: skip


def group(*features: dict, **keys) -> dict:
    return {"sequence_name": "click", "sequence_length": 50, "features": list(features), **keys}


def load(*features: dict) -> tuple[Feature, ...]:
    return load_config({"features": list(features)}).features


def problems_of(*features: dict) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(*features)
    return caught.value.problems


def test_a_feature_of_a_group_is_named_after_both_and_reads_the_column_of_the_group():
    (feature,) = load(group(ID | {"embedding_dim": 4, "need_prefix": True}))
    assert (feature.name, feature.group, feature.path) == ("click__item", "click", "features[0].features[0]")
    assert feature.fields == (Field(side="user", name="click__id"),)
    assert feature.sequence == Sequence(length=50, delimiter=";", splits=(True,))
    assert feature.embedding is not None
    assert feature.embedding.table == "click__item"
    assert feature.prefix == "item_", "the prefix is the feature's own name"


def test_of_several_inputs_those_of_items_and_the_listed_ones_belong_to_the_group():
    (feature,) = load(group(COMBO, sequence_delim="|"))
    assert [f.name for f in feature.fields] == ["who", "click__id", "click__when", "x"]
    assert feature.sequence == Sequence(length=50, delimiter="|", splits=(False, True, True, False))


def test_a_sequence_feature_by_itself_keeps_its_names_and_splits_all_its_inputs():
    first = COMBO | {"feature_type": "sequence_combo_feature", "sequence_length": 3}
    (one, other) = load(first, ID | {"is_sequence": True, "sequence_delim": "#"})
    assert (one.name, [f.name for f in one.fields]) == ("pair", ["who", "id", "when", "x"])
    assert one.sequence == Sequence(length=3, delimiter=";", splits=(True, True, True, False))
    assert other.sequence == Sequence(length=0, delimiter="#", splits=(True,))


@pytest.mark.parametrize("given", [{}, {"default_value": ""}])
def test_a_sequence_always_has_a_default(given):
    (feature,) = load(group(ID | given))
    assert feature.default_value == "0"


def test_features_of_a_group_read_each_other_by_their_own_names():
    stub = ID | {"feature_name": "stub", "stub_type": True}
    features = load(
        group(stub, ID | {"expression": "feature:stub"}),
        ID | {"feature_name": "all", "expression": "feature:click__stub"},
    )
    assert features[1].fields == (Field(side="feature", name="click__stub", request=True),)
    assert features[2].feature_inputs == ("click__stub",)


def test_keys_of_older_groups_are_accepted_and_their_default_is_that_of_features_without_one():
    older = {"sequence_column": "click", "sequence_table": "item", "attribute_delim": "#", "default_value": "-1"}
    own = ID | {"feature_name": "own", "default_value": "7"}
    features = load(group(ID, own, ID | {"feature_name": "empty", "default_value": ""}, **older))
    assert [feature.default_value for feature in features] == ["-1", "7", "-1"]


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (group(), "features[0].features: wanted a list of at least one feature, got an empty list"),
        (group(3), "features[0].features[0]: wanted an object, got the number 3"),
        (group(ID, sequence_lenght=3), "features[0].sequence_lenght: unknown key of a sequence group; did you mean 'sequence_length'?"),
        (group(ID, sequence_delim=";;"), "features[0].sequence_delim: wanted exactly one ASCII character, got the text ';;'"),
        (group(ID, ID), "features[0].features[1].feature_name: 'click__item' is also the name of features[0].features[0]"),
        (group(ID | {"expression": "feature:x"}), "features[0].features[0]: the input 'feature:x' is no feature of this file"),
        (group(COMBO | {"sequence_fields": "when"}), "features[0].features[0].sequence_fields: wanted a list of input names"),
        (ID | {"sequence_length": 3}, "features[0].sequence_length: belongs to sequences; write 'is_sequence': true, or remove it"),
        (ID | {"feature_type": "sequence_id_featur"}, "features[0].feature_type: unknown type 'id_featur'; did you mean 'id_feature'"),
    ],
)  # fmt: skip
def test_a_wrong_sequence_is_told_where_and_what_was_wanted(feature, message):
    assert any(problem.startswith(message) for problem in problems_of(feature)), problems_of(feature)
