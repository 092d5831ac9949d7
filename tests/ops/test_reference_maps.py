"""The references of the features that read maps, on rows worked out by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from reference_outputs import output_of, rows_of

from tvm_rank.config.load import load_config
from tvm_rank.errors import ConfigError, InputError

TEXTS = {"needDiscrete": True, "vocab_list": ["1", "2", "x", "a_1", "b_x", "a", "b", "c"], "default_bucketize_value": 99}


def looked_up(maps: pa.Array, keys: pa.Array, **more):
    feature = {"feature_type": "lookup_feature", "map": "user:m", "key": "item:k", **more}
    return output_of(feature, maps, keys)


def numbers_of(maps: pa.Array, keys: pa.Array, **more) -> list[list[float]]:
    out = looked_up(maps, keys, **more)
    assert (out.values, out.lengths) == (None, None)
    return out.dense.tolist()


FORMS = {
    "text": pa.array(["a:1\x1db:2"]),
    "list": pa.array([["a:1", "b:2"]]),
    "map-to-text": pa.array([[("a", "1"), ("b", "2")]], pa.map_(pa.string(), pa.string())),
    "map-to-int64": pa.array([[("a", 1), ("b", 2)]], pa.map_(pa.string(), pa.int64())),
    "map-to-float32": pa.array([[("a", 1), ("b", 2)]], pa.map_(pa.string(), pa.float32())),
}
KEYS = pa.array(["a\x1db", "c\x1db\x1db", "c", None])


@pytest.mark.parametrize("maps", FORMS.values(), ids=FORMS)
def test_all_forms_of_a_map_have_the_same_values(maps):
    assert numbers_of(maps, KEYS) == [[3.0], [4.0], [0.0], [0.0]]
    assert rows_of(looked_up(maps, KEYS, **TEXTS)) == [[0, 1], [1, 1], [], []]


@pytest.mark.parametrize(
    ("combiner", "wanted"),
    [
        ("sum", 7.0),
        ("mean", 7 / 3),
        ("avg", 7 / 3),
        ("min", -1.0),
        ("max", 5.0),
        ("count", 3.0),
        ("gap_min", 2.0),
        ("gap_max", 6.0),
    ],
)
def test_hits_are_combined_as_worked_out_by_hand(combiner, wanted):
    maps, keys = pa.array(["a:3\x1db:5\x1dc:-1"]), pa.array([["a", "b", "nobody", "c"], ["nobody"], ["b"]])
    alone = {"count": 1.0, "gap_min": 0.0, "gap_max": 0.0}.get(combiner, 5.0)
    assert numbers_of(maps, keys, combiner=combiner, default_value="-9") == [[float(np.float32(wanted))], [-9.0], [alone]]


def test_a_value_that_is_no_number_is_no_hit():
    assert numbers_of(pa.array(["a:x\x1db:4"]), pa.array([["a", "b"], ["a"]]), combiner="mean", default_value="7") == [[4.0], [7.0]]


def test_entries_without_a_value_are_dropped_before_the_last_of_equal_keys_counts():
    keys = pa.array(["a"])
    assert numbers_of(pa.array(["a:1\x1da:2\x1da:\x1da"]), keys) == [[2.0]]
    maps = pa.array([[("a", 1.0), ("a", 3.0), ("a", None)]], pa.map_(pa.string(), pa.float64()))
    assert numbers_of(maps, keys) == [[3.0]]


def test_a_part_is_cut_at_its_first_colon():
    assert rows_of(looked_up(pa.array(["a:b:c"]), pa.array(["a"]), **TEXTS | {"vocab_list": ["b:c"]})) == [[0]]


def test_integer_keys_are_their_decimal_text():
    maps = pa.array([[(7, 1.0), (-1, 2.0)]], pa.map_(pa.int64(), pa.float64()))
    assert numbers_of(maps, pa.array(["7", "07", "+7", "-1", "x"])) == [[1.0], [0.0], [0.0], [2.0], [0.0]]
    assert numbers_of(pa.array(["7:1"]), pa.array([7, 8])) == [[1.0], [0.0]]


def test_maps_are_split_at_the_separator_of_the_file_and_not_of_the_feature():
    feature = {"feature_name": "f", "feature_type": "lookup_feature", "map": "user:m", "key": "item:k"}
    (with_file,) = load_config({"features": [feature], "multi_val_sep": "|"}).features
    (with_own,) = load_config({"features": [feature | {"separator": "|"}]}).features
    assert (with_file.map_separators, with_own.map_separators) == (("\x1d", "|"), ("\x1d",))
    assert numbers_of(pa.array(["a:1|b:2"]), pa.array(["b|a"]), separator="|") == [[0.0]]  # a has the value "1|b:2"


def test_texts_have_prefix_and_key_and_a_default_for_keys_that_are_missing():
    maps, keys = pa.array(["a:1\x1db:x"]), pa.array([["a", "b"], ["c"]])
    assert rows_of(looked_up(maps, keys, **TEXTS, needKey=True)) == [[3, 4], []]
    named = {"vocab_dict": {"f_a_1": 1, "f_b_x": 2, "f_c_no": 3}, "needKey": True, "need_prefix": True}
    assert rows_of(looked_up(maps, keys, **named, default_bucketize_value=0, default_lookup_value="no")) == [[1, 2], [3]]


def test_weighted_texts_are_keys_and_values_weights():
    out = looked_up(pa.array(["a:0.5\x1db:x"]), pa.array([["b", "a"], ["c"]]), **TEXTS, needWeighting=True, default_value="c")
    assert (rows_of(out), out.weights.tolist()) == ([[6, 5], [7]], [1.0, 0.5, 1.0])


def test_values_of_several_numbers_are_combined_place_by_place():
    maps = pa.array(["k1:1,2,3\x1dk2:6,7,8\x1dk3:11,12,13,14,15"])
    assert numbers_of(maps, pa.array([["k1", "k2", "k3"], ["k1"], ["no"]]), value_dim=4) == [
        [18.0, 21.0, 24.0, 14.0],
        [1.0, 2.0, 3.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
    assert numbers_of(maps, pa.array(["k3"]), value_dim=2, combiner="max") == [[11.0, 12.0]]
    assert numbers_of(pa.array(["a:1,x,,4"]), pa.array(["a"]), value_dim=5) == [[1.0, 0.0, 0.0, 4.0, 0.0]]


def test_without_a_combiner_each_hit_has_a_bucket():
    bounds = {"boundaries": [0, 1.5], "combiner": ""}
    maps, keys = pa.array(["a:1\x1db:2"]), pa.array([["b", "a", "c"], ["c"]])
    assert rows_of(looked_up(maps, keys, **bounds)) == [[2, 1], [1]]
    assert rows_of(looked_up(maps, keys, **bounds, default_value="")) == [[2, 1], []]


def test_text_is_combined_and_normalized_in_double_and_numbers_are_rounded_first():
    zscore = {"normalizer": "method=zscore,mean=0.1,standard_deviation=0.3", "boundaries": [-1, 0, 0.1, 0.5, 1]}
    numbers = pa.array([[("a", 0.1)]], pa.map_(pa.string(), pa.float64()))
    assert rows_of(looked_up(numbers, pa.array(["a"]), **zscore)) == [[2]]
    assert rows_of(looked_up(pa.array(["a:0.1"]), pa.array(["a"]), **zscore)) == [[1]]


def test_the_default_of_a_lookup_is_not_normalized_but_bucketized():
    assert numbers_of(pa.array(["a:1"]), pa.array(["b"]), normalizer="method=minmax,min=0,max=2", default_value="5") == [[5.0]]
    assert rows_of(looked_up(pa.array(["a:1"]), pa.array(["b"]), boundaries=[1, 5], default_value="5")) == [[2]]


def test_need_discrete_follows_the_bucketizer():
    feature = {"feature_name": "f", "feature_type": "lookup_feature", "map": "user:m", "key": "item:k"}
    assert not load_config({"features": [feature]}).features[0].discrete
    assert load_config({"features": [feature | {"hash_bucket_size": 5}]}).features[0].discrete


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"needDiscrete": False, "hash_bucket_size": 5}, "hash_bucket_size: belongs to texts"),
        ({"needDiscrete": True, "boundaries": [1], "hash_bucket_size": 5}, "boundaries: belongs to numbers"),
        ({"needDiscrete": True}, "'hash_bucket_size' is missing"),
        ({"num_buckets": 5, "needKey": True}, "num_buckets: values joined with '_' are never integers"),
        ({"combiner": "median"}, "combiner: unknown value 'median'"),
        ({"value_dim": 2**17}, "value_dim: wanted an integer of at most 65536"),
        ({"default_value": "1,2,3", "value_dim": 2}, "default_value: 3 numbers for value_dim 2"),
        ({"default_lookup_value": "x"}, "default_lookup_value: belongs to texts"),
        ({"hash_bucket_size": 5, "needWeighting": True, "default_lookup_value": "x"}, "default_lookup_value: has no meaning"),
        ({"needKey": True, "need_key": True}, "need_key: the same key as 'needKey'"),
    ],
)
def test_a_wrong_lookup_is_told_where_and_what(keys, message):
    with pytest.raises(ConfigError) as error:
        load_config(
            {"features": [{"feature_name": "f", "feature_type": "lookup_feature", "map": "user:m", "key": "item:k", **keys}]}
        )
    assert any(f"features[0].{message}" in problem or message in problem for problem in error.value.problems), error.value


@pytest.mark.parametrize("column", [pa.array([1]), pa.array([["a"]], pa.list_(pa.large_string())), pa.array([[1]])])
def test_a_column_that_holds_no_map_is_refused(column):
    with pytest.raises(InputError, match="holds no `key:value`"):
        looked_up(column, pa.array(["a"]))


# ---------------------------------------------------------------- kv_dot_product


def dot(query: pa.Array, document: pa.Array, **more):
    feature = {"feature_type": "kv_dot_product", "query": "user:q", "document": "item:d", "separator": "|", **more}
    return output_of(feature, query, document)


VECTORS = {
    "text": pa.array(["a:0.5|b:2"]),
    "list": pa.array([["a:0.5", "b:2"]]),
    "map": pa.array([[("a", 0.5), ("b", 2.0)]], pa.map_(pa.string(), pa.float64())),
}


@pytest.mark.parametrize("query", VECTORS.values(), ids=VECTORS)
@pytest.mark.parametrize("document", VECTORS.values(), ids=VECTORS)
def test_vectors_of_all_forms_have_one_dot_product(query, document):
    assert dot(query, document).dense.tolist() == [[4.25]]


def test_keys_without_weights_count_1():
    assert dot(pa.array(["a|b|c"]), pa.array(["b|a:x|d"])).dense.tolist() == [[2.0]]
    assert dot(pa.array([[1, 2]]), pa.array(["2:5|1"])).dense.tolist() == [[6.0]]


def test_of_equal_keys_of_a_dot_product_the_last_counts():
    assert dot(pa.array(["a:1|a:3"]), pa.array(["a:10|a:2"])).dense.tolist() == [[6.0]]


def test_a_dot_product_without_a_common_key_is_the_default():
    query, document = pa.array(["a", None, "a"]), pa.array(["b", "a", ""])
    assert dot(query, document, default_value="0.5", normalizer="method=minmax,min=1,max=2").dense.tolist() == [[0.5]] * 3
    assert rows_of(dot(query, document, default_value="", boundaries=[0, 1])) == [[1]] * 3


def test_a_dot_product_is_normalized_in_float32_only_without_text():
    zscore = {"normalizer": "method=zscore,mean=0.1,standard_deviation=0.3", "boundaries": [-1, 0, 0.1, 0.5, 1]}
    tenth = pa.array([[("a", 0.1)]], pa.map_(pa.string(), pa.float64()))
    one = pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float64()))
    assert rows_of(dot(tenth, one, **zscore)) == [[2]]
    assert rows_of(dot(pa.array(["a:0.1"]), pa.array(["a"]), **zscore)) == [[1]]


@pytest.mark.parametrize("delimiter", ["", "::", "|", "\x1d", "1", "e", ".", "é"])
def test_a_delimiter_that_cannot_be_told_apart_is_refused(delimiter):
    with pytest.raises(ConfigError, match="kv_delimiter: wanted one ASCII character that is in no number and no separator"):
        dot(pa.array(["a"]), pa.array(["a"]), kv_delimiter=delimiter)


# ---------------------------------------------------------------- match_feature

USER = pa.array(["c1^a:1,b:2|c2^a:3"])


def matched(category: str | pa.Array, item: str | pa.Array, user: pa.Array = USER, **more):
    sides = {"category": category, "item": item}
    inputs = {key: side if isinstance(side, str) else f"item:{key}" for key, side in sides.items()}
    columns = [side for side in sides.values() if not isinstance(side, str)]
    return output_of({"feature_type": "match_feature", "user": "user:u", "separator": "|", **inputs, **more}, user, *columns)


def values_matched(category, item, user: pa.Array = USER, **more) -> list[list[int]]:
    return rows_of(matched(category, item, user, num_buckets=100, **more))


def test_every_category_is_matched_with_every_item():
    category, item = pa.array(["c1", "c2|c1", "c3", None]), pa.array(["b|a", "a|b", "a", "a"])
    assert values_matched(category, item) == [[2, 1], [3, 1, 2], [], []]


def test_all_stands_for_every_key_under_multihit_only():
    item = pa.array(["a", "b|a"])
    assert values_matched("ALL", item) == [[], []]
    assert values_matched("ALL", item, pa.array(["ALL^a:7|c^a:8"])) == [[7], [7]]
    assert values_matched("ALL", item, matchType="multihit") == [[1, 3], [2, 1, 3]]
    assert values_matched(pa.array(["c2", "c1"]), "ALL", matchType="multihit") == [[3], [1, 2]]
    assert values_matched("ALL", "ALL", matchType="multihit") == [[1, 2, 3]]


def test_blanks_and_empty_parts_of_a_nested_map_are_dropped():
    user = pa.array([" c1 ^\ta : 1 ,,b:2 || c2^a:3|"])
    assert values_matched("ALL", "ALL", user, matchType="multihit") == [[1, 2, 3]]


@pytest.mark.parametrize("group", ["c2", "c2^", "^a:1", "c2^a", "c2^a:", "c2^a:1:2", "c2^a:1^b:2", "c2^a:1,b"])
def test_a_malformed_group_makes_the_row_empty(group):
    assert values_matched("ALL", "ALL", pa.array([f"c1^a:1|{group}", "c1^a:1"]), matchType="multihit") == [[], [1]]


def test_groups_of_one_category_are_one():
    user = pa.array(["c1^a:1,b:2|c1^a:3"])
    assert values_matched(pa.array(["c1"]), pa.array(["a|b"]), user) == [[3, 2]]
    assert values_matched("ALL", "ALL", user, matchType="multihit") == [[2, 3]]


def test_a_nested_map_may_be_an_arrow_map_or_a_list():
    user = pa.array([[("c1", "a:1, b:2"), ("c2", None), ("c3", "")]], pa.map_(pa.string(), pa.string()))
    assert values_matched(pa.array(["c1"]), pa.array(["a|b"]), user) == [[1, 2]]
    assert values_matched(pa.array([7]), pa.array([1]), pa.array([[(7, "1:5")]], pa.map_(pa.int64(), pa.string()))) == [[5]]
    assert values_matched(pa.array(["c1|c2"]), pa.array(["a"]), pa.array([["c1^a:1", None, "c2^a:2"]])) == [[1, 2]]


def test_the_texts_of_a_match_have_a_prefix_and_the_default_has_none():
    words = {"f_1": 1, "f_c1_1": 2, "f_a_1": 3, "f_c1_a_1": 4, "c1_a_1": 5, "z": 6}
    common = {"vocab_dict": words, "default_bucketize_value": 0, "default_value": "z"}
    category, item = pa.array(["c1", "c9"]), pa.array(["a", "a"])

    def of(**keys) -> list[list[int]]:
        return rows_of(matched(category, item, **common, **keys))

    assert of() == [[4], [6]]
    assert of(need_prefix=False) == [[5], [6]]
    assert of(show_item=False) == [[2], [6]]
    assert of(showCategory=False) == [[3], [6]]
    assert of(showCategory=False, showItem=False) == of(matchType="multihit") == [[1], [6]]


def test_the_recorded_hashes_of_a_match_are_of_prefixed_values_and_bare_defaults():
    feature = {
        "feature_name": "match_feat",
        "hash_bucket_size": 100,
        "default_value": "z",
        "show_category": False,
        "show_item": False,
    }
    category, item = pa.array(["ca", "cb"]), pa.array(["ba", "ba"])
    assert rows_of(matched(category, item, pa.array(["ca^ba:1,bb:2"]), **feature)) == [[71], [54]]


def test_weights_of_a_match_are_its_values():
    words = {"vocab_dict": {"f_c1_a": 1, "f_c1_b": 2}, "default_bucketize_value": 0}
    out = matched(pa.array(["c1"]), pa.array(["a|b"]), pa.array(["c1^a:0.5,b:x"]), **words, needWeighting=True)
    assert (rows_of(out), out.weights.tolist()) == ([[1, 2]], [0.5, 1.0])


def test_a_dense_match_is_the_first_number_and_with_boundaries_each():
    user, category = pa.array(["c1^a:x,b:2,c:3"]), pa.array(["c1", "c9"])
    item = pa.array(["a|b|c", "a"])
    assert matched(category, item, user, default_value="5").dense.tolist() == [[2.0], [5.0]]
    assert matched(category, item, user, default_value="").dense.tolist() == [[2.0], [0.0]]
    assert matched(category, item, user, normalizer="method=minmax,min=0,max=4", default_value="5").dense.tolist() == [[0.5], [5.0]]
    assert rows_of(matched(category, item, user, boundaries=[1, 3])) == [[1, 2], [0]]
    assert rows_of(matched(category, item, user, boundaries=[1, 3], default_value="")) == [[1, 2], []]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"matchType": "cos"}, "matchType: 'cos' is a match type of the legacy engine; allowed: hit, multihit"),
        ({"matchType": "hits"}, "matchType: unknown value 'hits'"),
        ({"needDiscrete": False, "num_buckets": 5}, "num_buckets: belongs to texts"),
        ({"num_buckets": 5, "normalizer": "method=log10"}, "normalizer: belongs to numbers"),
        ({"hash_bucket_size": 5, "needWeighting": True, "matchType": "multihit"}, "needWeighting: the value is the weight"),
        ({"category": "all"}, "category: wanted side:name"),
        ({"value_dim": 2}, "value_dim: wanted an integer of at most 1"),
    ],
)
def test_a_wrong_match_is_told_where_and_what(keys, message):
    feature = {
        "feature_name": "f",
        "feature_type": "match_feature",
        "user": "user:u",
        "category": "item:c",
        "item": "item:i",
        **keys,
    }
    with pytest.raises(ConfigError) as error:
        load_config({"features": [feature]})
    assert any(f"features[0].{message}" in problem for problem in error.value.problems), error.value
