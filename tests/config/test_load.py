"""What a good fg.json becomes."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import Boundaries, Embedding, Field, HashBucket, NumBuckets, Vocabulary, ZScore
from tvm_rank.config.types.combo_feature import ComboFeature
from tvm_rank.config.types.id_feature import IdFeature
from tvm_rank.config.types.overlap_feature import OverlapFeature
from tvm_rank.config.types.raw_feature import RawFeature

CITY = {"feature_name": "city", "feature_type": "id_feature", "expression": "user:city", "hash_bucket_size": 100}
BARE = {key: value for key, value in CITY.items() if key != "hash_bucket_size"}
PRICE = {"feature_name": "price", "feature_type": "raw_feature", "expression": "item:price"}
PAIR = {"feature_name": "pair", "feature_type": "combo_feature", "expression": ["user:a", "item:b"], "hash_bucket_size": 9}
OVERLAP = {
    "feature_name": "overlap", "feature_type": "overlap_feature", "query": "user:query", "title": "item:title",
    "method": "query_common_ratio",
}  # fmt: skip


def load_one(feature: dict, more: dict | None = None, **top):
    config = load_config({"features": [feature | (more or {})], **top})
    return config.features[0]


def test_a_bare_id_feature_gets_the_defaults_of_the_specification():
    assert load_one(CITY) == IdFeature(
        name="city",
        path="features[0]",
        default_value="",
        separators=("\x1d",),
        value_dim=0,
        bucketizer=HashBucket(size=100),
        fields=(Field(side="user", name="city"),),
        prefix="",
        weighted=False,
    )


def test_a_bare_raw_feature_gets_the_defaults_of_the_specification():
    assert load_one(PRICE) == RawFeature(
        name="price",
        path="features[0]",
        default_value="0",
        value_dim=1,
        fields=(Field(side="item", name="price"),),
        defaults=(0.0,),
    )


def test_a_combo_feature_keeps_the_order_of_its_inputs():
    feature = load_one(PAIR, {"expression": ["item:b", "user:a", "context:c"], "need_prefix": True, "value_dim": 3})
    assert isinstance(feature, ComboFeature)
    assert [(field.side, field.name) for field in feature.fields] == [("item", "b"), ("user", "a"), ("context", "c")]
    assert (feature.prefix, feature.value_dim, feature.is_request) == ("pair_", 3, False)


def test_an_overlap_feature_reads_query_before_title():
    feature = load_one(OVERLAP, {"boundaries": [0.25, 0.75], "default_value": ""})
    assert isinstance(feature, OverlapFeature)
    assert [field.name for field in feature.fields] == ["query", "title"]
    assert (feature.method, feature.bucketizer) == ("query_common_ratio", Boundaries(values=(0.25, 0.75)))
    assert (feature.default_value, feature.default) == ("0", 0.0)


def test_boundaries_and_defaults_are_rounded_to_float32():
    feature = load_one(PRICE, {"boundaries": [0.1, 2], "default_value": "0.1"})
    assert feature.bucketizer == Boundaries(values=(float(np.float32(0.1)), 2.0))
    assert feature.defaults == (float(np.float32(0.1)),)


@pytest.mark.parametrize(
    ("default", "separator", "numbers"),
    [
        pytest.param("1|2", "|", (1.0, 2.0), id="split-at-the-separator"),
        pytest.param("1\x1d2", "|", (1.0, 2.0), id="split-at-chr-29-too"),
        pytest.param("7", "|", (7.0, 7.0), id="one-number-for-all"),
        pytest.param("", "|", (), id="none"),
    ],
)
def test_the_default_of_a_vector_is_split(default, separator, numbers):
    assert load_one(PRICE, {"value_dim": 2, "separator": separator, "default_value": default}).defaults == numbers


def test_an_embedding_is_named_after_its_feature_unless_named():
    assert load_one(CITY, {"embedding_dim": 8}).embedding == Embedding(table="city", dim=8, combiner="mean")
    named = load_one(CITY, {"embedding_dimension": 8, "shared_name": "place", "combiner": "sqrtn"})
    assert named.embedding == Embedding(table="place", dim=8, combiner="sqrtn")
    assert load_one(CITY).embedding is None


def test_the_combiner_avg_is_mean():
    assert load_one(CITY, {"embedding_dim": 8, "combiner": "avg"}).embedding.combiner == "mean"


@pytest.mark.parametrize("key", ["value_dim", "value_dimension"])
def test_both_spellings_of_value_dim_are_read(key):
    assert load_one(CITY, {key: 5}).value_dim == 5


@pytest.mark.parametrize("key", ["need_prefix", "needPrefix"])
def test_both_spellings_of_need_prefix_are_read(key):
    assert load_one(CITY, {key: True}).prefix == "city_"


def test_the_separator_splits_in_addition_to_chr_29():
    assert load_one(CITY, {"separator": ","}).separators == ("\x1d", ",")
    assert load_one(CITY, {"separator": "\x1d"}).separators == ("\x1d",)


def test_multi_val_sep_is_the_separator_of_features_without_one():
    config = load_config({"features": [CITY, PRICE | {"separator": ","}], "multi_val_sep": "|"})
    assert [feature.separators for feature in config.features] == [("\x1d", "|"), ("\x1d", ",")]


@pytest.mark.parametrize("value_type", ["String", "int64", "Double", "FLOAT", "Integer"])
def test_value_types_are_read_in_any_case(value_type):
    assert load_one(PRICE, {"value_type": value_type}).name == "price"


def test_what_only_a_trainer_reads_is_ignored():
    extras = {
        "is_cache": True,
        "max_partitions": 4,
        "kv_separator": ":",
        "extra_combo_info": {"feature_names": ["x"]},
        "combiner": "sum",
    }
    assert load_one(PRICE, extras, reserves=["clk"], model_type="deepfm", embedding_dim=16) == load_one(PRICE)


def test_switched_off_features_of_the_engine_are_accepted():
    assert load_one(CITY, {"stub_type": False, "is_sequence": False}) == load_one(CITY)


def test_num_buckets_takes_any_integer_as_default():
    feature = load_one(BARE, {"num_buckets": 10, "default_value": "+0099"})
    assert (feature.bucketizer, feature.default_value) == (NumBuckets(size=10), "+0099")


@pytest.mark.parametrize("size", [1, 2**63 - 1])
def test_hash_bucket_sizes_reach_to_the_end_of_int64(size):
    assert load_one(CITY, {"hash_bucket_size": size}).bucketizer == HashBucket(size=size)


def vocabulary(**keys) -> Vocabulary:
    bucketizer = load_one(BARE, {"default_bucketize_value": 1} | keys).bucketizer
    assert isinstance(bucketizer, Vocabulary)
    return bucketizer


def test_a_repeated_word_of_a_list_has_its_last_index():
    words = vocabulary(vocab_list=["abc", "<OOV>", "abc", "efg"])
    assert dict(words.entries) == {"abc": 2, "<OOV>": 1, "efg": 3}
    assert (words.default, words.id_space) == (1, 4)


def test_a_vocabulary_may_be_a_map():
    words = vocabulary(vocab_dict={"abc": 7, "": 0}, default_bucketize_value=9)
    assert (dict(words.entries), words.id_space) == ({"abc": 7, "": 0}, 10)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        pytest.param("a\nb\n", {"a": 0, "b": 1}, id="words"),
        pytest.param("a\r\n\r\nb", {"a": 0, "b": 2}, id="an-empty-line-counts"),
        pytest.param("a 5\nb\t0\na 6\n", {"a": 6, "b": 0}, id="words-with-ids"),
        pytest.param("中文\n", {"中文": 0}, id="unicode"),
    ],
)
def test_vocabulary_files_hold_words_or_words_with_ids(tmp_path: pathlib.Path, text: str, entries: dict):
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "v.txt").write_bytes(text.encode())
    feature = BARE | {"vocab_file": "words/v.txt", "default_bucketize_value": 0}
    loaded = load_config({"features": [feature]}, base_dir=tmp_path).features[0].bucketizer
    assert isinstance(loaded, Vocabulary)
    assert dict(loaded.entries) == entries


def test_normalizers_are_parsed():
    assert load_one(PRICE, {"normalizer": "method=zscore,mean=1, standard_deviation=2"}).normalizer == ZScore(
        mean=1.0, standard_deviation=2.0
    )


@pytest.mark.parametrize(
    ("in_file", "argument", "wins"),
    [(None, None, "std"), ("farm", None, "farm"), (None, "farm", "farm"), ("farm", "std", "std")],
)
def test_the_hash_function_comes_from_the_argument_then_the_file(in_file, argument, wins):
    top = {} if in_file is None else {"hash_function": in_file}
    assert load_config({"features": [CITY], **top}, hash_function=argument).hash_function == wins


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte-order-mark"])
def test_a_file_reads_like_its_contents(tmp_path: pathlib.Path, mark: bytes):
    path = tmp_path / "fg.json"
    contents = {"features": [CITY, PRICE, PAIR, OVERLAP]}
    path.write_bytes(mark + json.dumps(contents).encode())
    config = load_config(path)
    assert config.source == str(path)
    assert config.features == load_config(contents).features
    assert load_config(str(path)) == config


def test_two_features_may_share_a_table_of_one_width():
    other = CITY | {"feature_name": "town", "embedding_dim": 8, "embedding_name": "city"}
    config = load_config({"features": [CITY | {"embedding_dim": 8}, other]})
    assert [feature.embedding.table for feature in config.features if feature.embedding] == ["city", "city"]


def test_loading_does_not_import_tvm(fresh_python):
    code = "import sys, tvm_rank.config.load; print(sorted({n.split('.')[0] for n in sys.modules} & {'tvm', 'pyarrow', 'onnx'}))"
    assert fresh_python(code).strip() == "[]"
