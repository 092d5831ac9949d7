"""What a wrong fg.json is told: each message once, all of them together, and never anything but ConfigError."""

from __future__ import annotations

import json
import pathlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvm_rank.config import keys
from tvm_rank.config.load import load_config
from tvm_rank.config.reader import one_of
from tvm_rank.config.spec import FeatureConfig
from tvm_rank.config.types import FEATURE_TYPES, TYPE_KEYS, UNSUPPORTED_TYPES, overlap_feature
from tvm_rank.errors import ConfigError

BARE = {"feature_name": "f", "feature_type": "id_feature", "expression": "user:f"}
HASHED = BARE | {"hash_bucket_size": 10}
RAW = {"feature_name": "r", "feature_type": "raw_feature", "expression": "item:r"}
COMBO = {"feature_name": "c", "feature_type": "combo_feature", "expression": ["user:a", "item:b"], "hash_bucket_size": 10}
OVERLAP = {"feature_name": "o", "feature_type": "overlap_feature", "query": "user:q", "title": "item:t", "method": "is_equal"}
LISTED = BARE | {"vocab_list": ["a"], "default_bucketize_value": 0}

ENDLESS: list = []
ENDLESS.append(ENDLESS)


def problems_of(fg, **options) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(fg, **options)
    return caught.value.problems


FEATURE_PROBLEMS = [
    (HASHED | {"hash_bucket_sise": 1}, "features[0].hash_bucket_sise: unknown key; did you mean 'hash_bucket_size'?"),
    (HASHED | {"zzz": 1}, "features[0].zzz: unknown key; id_feature takes combiner, default_bucketize_value,"),
    (
        HASHED | {"boundaries": [1]},
        "features[0].boundaries: belongs to raw_feature, overlap_feature, lookup_feature",
    ),
    (RAW | {"bucketize_boundaries": "1,x"}, "features[0].bucketize_boundaries: wanted numbers with ',' between them, got the text"),
    (
        RAW | {"bucketize_boundaries": "1", "boundaries": [1]},
        "features[0].bucketize_boundaries: is a key of the legacy engine; write",
    ),
    (HASHED | {"value_dim": 1, "value_dimension": 1}, "features[0].value_dimension: the same key as 'value_dim'; keep one of them"),
    ({"feature_type": "id_feature"}, "features[0]: 'feature_name' is missing; give the feature a name"),
    (HASHED | {"feature_name": ""}, "features[0].feature_name: is empty; give the feature a name"),
    (HASHED | {"feature_name": 7}, 'features[0].feature_name: wanted text, got the number 7; write "7"'),
    ({"feature_name": "f"}, "features[0]: 'feature_type' is missing; write 'id_feature',"),
    (HASHED | {"feature_type": "id_featur"}, "features[0].feature_type: unknown type 'id_featur'; did you mean 'id_feature'?"),
    (HASHED | {"group": ""}, "features[0].group: is empty; name the group"),
    ({**BARE}, "features[0]: 'hash_bucket_size' is missing; ids need one bucketizer: 'hash_bucket_size', 'num_buckets',"),
    (HASHED | {"num_buckets": 1}, "features[0].num_buckets: a second bucketizer beside 'hash_bucket_size'; keep one"),
    (HASHED | {"hash_bucket_size": True}, "features[0].hash_bucket_size: wanted an integer of at least 1, got true"),
    (HASHED | {"hash_bucket_size": 1.0}, "features[0].hash_bucket_size: wanted an integer of at least 1, got the number 1.0"),
    (HASHED | {"hash_bucket_size": 0}, "features[0].hash_bucket_size: wanted an integer of at least 1, got the number 0"),
    (HASHED | {"hash_bucket_size": 2**63}, "features[0].hash_bucket_size: wanted an integer of at most 9223372036854775807, got"),
    (HASHED | {"hash_bucket_size": 10**400}, "at most 9223372036854775807, got an integer of many digits"),
    (HASHED | {"default_bucketize_value": 1}, "features[0].default_bucketize_value: has a meaning only with 'vocab_list',"),
    (BARE | {"vocab_list": ["a"]}, "features[0]: 'default_bucketize_value' is missing; vocab_list needs the id of words"),
    (
        LISTED | {"default_bucketize_value": -1},
        "features[0].default_bucketize_value: wanted an integer of at least 0, got the number -1",
    ),
    (LISTED | {"vocab_list": []}, "features[0].vocab_list: wanted a list of at least one text, got an empty list"),
    (LISTED | {"vocab_list": "a"}, "features[0].vocab_list: wanted a list of at least one text, got the text 'a'"),
    (LISTED | {"vocab_list": ["a", 3]}, 'features[0].vocab_list: wanted text at [1], got the number 3; write "3"'),
    (BARE | {"vocab_dict": {}, "default_bucketize_value": 0}, "vocab_dict: wanted an object of at least one word and its id, got"),
    (BARE | {"vocab_dict": {"a": True}, "default_bucketize_value": 0}, "wanted an integer of at least 0 for 'a', got true"),
    (BARE | {"vocab_file": "../v", "default_bucketize_value": 0}, "features[0].vocab_file: ../v leads out of"),
    (BARE | {"vocab_file": "none", "default_bucketize_value": 0}, "features[0].vocab_file: cannot read none in .: No such file"),
    (BARE | {"vocab_file": "a\0b", "default_bucketize_value": 0}, "features[0].vocab_file: cannot read a\0b"),
    (COMBO | {"hash_bucket_size": 1, "num_buckets": 1}, "features[0].num_buckets: a second bucketizer"),
    ({k: v for k, v in COMBO.items() if k != "hash_bucket_size"} | {"num_buckets": 1}, "values joined with '_' are never integers"),
    (
        BARE | {"num_buckets": 5, "default_value": "1|2"},
        "features[0].default_value: num_buckets needs an integer, got the text '1|2'",
    ),
    (HASHED | {"separator": "||"}, "features[0].separator: wanted exactly one ASCII character, got the text '||'"),
    (HASHED | {"separator": "中"}, "features[0].separator: wanted exactly one ASCII character, got the text '中'"),
    (HASHED | {"separator": ""}, "features[0].separator: wanted exactly one ASCII character, got the text ''"),
    (HASHED | {"need_prefix": "true"}, "features[0].need_prefix: wanted true or false, got the text 'true'"),
    (HASHED | {"weighted": 1}, "features[0].weighted: wanted true or false, got the number 1"),
    (RAW | {"weighted": True}, "features[0].weighted: belongs to id_feature, not to raw_feature; remove it"),
    (HASHED | {"value_dim": -1}, "features[0].value_dim: wanted an integer of at least 0, got the number -1"),
    (RAW | {"value_dim": 0}, "features[0].value_dim: wanted an integer of at least 1, got the number 0"),
    (OVERLAP | {"value_dim": 2}, "features[0].value_dim: wanted an integer of at most 1, got the number 2"),
    (
        HASHED | {"value_type": "strin"},
        "features[0].value_type: unknown value 'strin'; did you mean 'string'?; allowed: string, int32,",
    ),
    (HASHED | {"default_value": None}, "features[0].default_value: wanted text, got null"),
    (RAW | {"default_value": 0.5}, 'features[0].default_value: wanted text, got the number 0.5; write "0.5"'),
    (RAW | {"default_value": "x"}, "features[0].default_value: 'x' is not a number"),
    (
        RAW | {"default_value": "1\x1d2", "value_dim": 3},
        "features[0].default_value: 2 numbers for value_dim 3; give 3, or one for all",
    ),
    (RAW | {"default_value": "\x1d"}, "features[0].default_value: holds separators only"),
    (RAW | {"boundaries": []}, "features[0].boundaries: wanted a list of at least one number, got an empty list"),
    (RAW | {"boundaries": "1,2"}, "features[0].boundaries: wanted a list of at least one number, got the text '1,2'"),
    (RAW | {"boundaries": [1, 0.5]}, "features[0].boundaries: not sorted: 0.5 at [1] comes after 1; sort the list"),
    (RAW | {"boundaries": [1, "2"]}, "features[0].boundaries: wanted a number that float32 holds at [1], got the text '2'"),
    (RAW | {"boundaries": [True]}, "features[0].boundaries: wanted a number that float32 holds at [0], got true"),
    (RAW | {"boundaries": [1e300]}, "features[0].boundaries: wanted a number that float32 holds at [0], got the number 1e+300"),
    (RAW | {"boundaries": [10**400]}, "wanted a number that float32 holds at [0], got an integer of many digits"),
    (RAW | {"hash_bucket_size": 3}, "features[0].hash_bucket_size: belongs to id_feature, combo_feature,"),
    (RAW | {"normalizer": "method=minmax,min=1"}, "features[0].normalizer: minmax needs max: method=minmax,min=...,max=..."),
    (RAW | {"normalizer": 3}, "features[0].normalizer: wanted text, got the number 3"),
    (HASHED | {"expression": "f"}, "features[0].expression: wanted side:name with the side 'user', 'item', 'context',"),
    (HASHED | {"expression": "itm:f"}, "got 'itm:f'; did you mean 'item'?"),
    (HASHED | {"expression": "user:"}, "features[0].expression: wanted the name of a column after 'user:'"),
    (HASHED | {"expression": "feature:"}, "features[0].expression: wanted the name of a feature after 'feature:'"),
    (HASHED | {"expression": "const:"}, "features[0].expression: wanted a text after 'const:'"),
    (HASHED | {"expression": "feature:g"}, "features[0]: the input 'feature:g' is no feature of this file; write the feature_name"),
    (HASHED | {"expression": "feature:f"}, "features[0]: features read each other in a circle: f -> f"),
    (HASHED | {"expression": ["user:f"]}, "features[0].expression: wanted text, got a list"),
    (
        COMBO | {"expression": "user:f"},
        "features[0].expression: wanted a list of at least two input columns, got the text 'user:f'",
    ),
    (COMBO | {"expression": ["user:f"]}, "features[0].expression: wanted a list of at least two input columns, got a list of 1"),
    (COMBO | {"expression": ["user:f", 2]}, "features[0].expression: at [1]: wanted text, got the number 2"),
    (COMBO | {"expression": ["user:f", "x"]}, "features[0].expression: at [1]: wanted side:name"),
    ({k: v for k, v in COMBO.items() if k != "expression"}, "features[0]: 'expression' is missing; name the input columns"),
    ({k: v for k, v in OVERLAP.items() if k != "title"}, "features[0]: 'title' is missing; name an input column"),
    (
        OVERLAP | {"method": "is_equa"},
        "features[0].method: unknown value 'is_equa'; did you mean 'is_equal'?; allowed: query_common_ratio,",
    ),
    (OVERLAP | {"method": "common_word"}, "features[0].method: 'common_word' is a method of the legacy engine; allowed:"),
    (
        HASHED | {"combiner": "meen"},
        "features[0].combiner: unknown value 'meen'; did you mean 'mean'?; allowed: sum, mean, sqrtn, max",
    ),
    (HASHED | {"embedding_dim": 0}, "features[0].embedding_dim: wanted an integer of at least 1, got the number 0"),
    (
        HASHED | {"embedding_name": "t"},
        "features[0]: 'embedding_dim' is missing; features[0].embedding_name names a table",
    ),
    (RAW | {"embedding_dim": 4}, "features[0].embedding_dim: a number has no id to look up; add 'boundaries', or remove it"),
    (
        BARE | {"stub_type": True, "embedding_dim": 3},
        "features[0].embedding_dim: a text has no id to look up; add a bucketizer such as 'hash_bucket_size', or remove it",
    ),
    (HASHED | {"sequence_delim": ";"}, "features[0].sequence_delim: belongs to sequences; write 'is_sequence': true, or remove it"),
    ({"sequence_name": "s", "features": []}, "features[0].features: wanted a list of at least one feature, got an empty list"),
    (3, "features[0]: wanted an object, got the number 3"),
    (HASHED | {"separator": "\ud800"}, "features[0].separator: '\\ud800' holds half of a surrogate pair"),
    (RAW | {"boundaries": [float("nan")]}, "features[0].boundaries[0]: nan is not a number of JSON"),
    (RAW | {"boundaries": (1, 2)}, "features[0].boundaries: a Python tuple is not a value of JSON"),
    (RAW | {"value_dim": np.int64(2)}, "features[0].value_dim: a Python int64 is not a value of JSON"),
    (HASHED | {3: 4}, "features[0]: the key 3 is not Unicode text"),
    (HASHED | {"extra_combo_info": ENDLESS}, "lists and objects are nested deeper than 50 levels"),
]


@pytest.mark.parametrize(
    ("feature", "message"), FEATURE_PROBLEMS, ids=[re.sub(r"[^\w]+", "-", m[:60]) for _, m in FEATURE_PROBLEMS]
)
def test_a_wrong_feature_is_told_where_what_and_what_was_wanted(feature, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problems = problems_of({"features": [feature]})
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize("kind", UNSUPPORTED_TYPES)
def test_a_type_that_is_not_supported_is_refused_by_name(kind):
    expected = f"features[0].feature_type: {kind!r} is not supported yet; supported: 'id_feature',"
    (problem,) = problems_of({"features": [{"feature_name": "f", "feature_type": kind, "map": "user:m"}]})
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ({}, "'features' is missing; write a list of features"),
        ({"features": []}, "features: wanted a list of at least one feature, got an empty list"),
        ({"features": {"a": 1}}, "features: wanted a list of at least one feature, got an object"),
        ({"features": [HASHED], "featurs": 1}, "featurs: unknown key; did you mean 'features'?"),
        ({"features": [HASHED], "hash_function": "md5"}, "hash_function: unknown value 'md5'; allowed: std, farm"),
        ({"features": [HASHED], "multi_val_sep": "||"}, "multi_val_sep: wanted exactly one ASCII character, got the text '||'"),
        ({"features": [HASHED, HASHED]}, "features[1].feature_name: 'f' is also the name of features[0]; names are unique"),
        (
            {"features": [HASHED | {"embedding_dim": 4}, COMBO | {"embedding_dim": 8, "embedding_name": "f"}]},
            "features[1].embedding_dim: 8, but features[0] looks into the same table 'f' with 4; give both one width, or another",
        ),
    ],
)
def test_a_wrong_file_is_told_what_was_wanted(top, message):
    (problem,) = problems_of(top)
    assert problem.startswith(message)


def test_an_unknown_hash_function_argument_is_refused():
    assert problems_of({"features": [HASHED]}, hash_function="md5") == ("hash_function: the argument is 'md5'; allowed: std, farm",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"features": [\n  {"a": 1,}\n]}', "line 2, column "),
        (b"", "line 1, column 1: not JSON"),
        (b"[1]", "wanted an object with the key 'features', got a list"),
        (b'{"features": [{"a": 1, "a": 2}]}', "an object has the key 'a' twice; keep one"),
        (b'{"features": NaN}', "features: nan is not a number of JSON; write a finite one"),
        (b'{"features": 1e999}', "features: inf is not a number of JSON; write a finite one"),
        (b"[" * 100_000, "lists and objects are nested deeper than 50 levels"),
        (b"[" * 60 + b"]" * 60, "[0][0]"),
        (b'{"\xff": 1}', "is not UTF-8 at byte 2; save it as UTF-8"),
    ],
    ids=["syntax", "empty", "list", "twice", "nan", "infinite", "endless", "deep", "latin-1"],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: pathlib.Path, text: bytes, message: str):
    path = tmp_path / "fg.json"
    path.write_bytes(text)
    (problem, *_) = problems_of(path)
    assert problem.startswith(message)


def test_an_integer_of_thousands_of_digits_is_refused(tmp_path: pathlib.Path):
    path = tmp_path / "fg.json"
    path.write_bytes(b'{"features": ' + b"1" * 5000 + b"}")
    (problem,) = problems_of(path)  # Python of 2022 and later refuses to read it, earlier ones read a number
    assert re.match("cannot be read: Exceeds the limit|features: wanted a list", problem)


@pytest.mark.parametrize("name", ["missing.json", ".", "nul\0.json"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: pathlib.Path, name: str):
    (problem,) = problems_of(str(tmp_path / name))
    assert problem.startswith("cannot be read: ")


def test_all_problems_are_reported_at_once(golden, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fg = {
        "features": [
            HASHED | {"separator": "||", "weighted": 1, "hash_bucket_sise": 5},
            RAW | {"boundaries": [1, 0], "normalizer": "method=zscor", "expression": "usr:r"},
            {"feature_name": "l", "feature_type": "bm25_feature"},
            COMBO | {"feature_name": "f", "expression": ["user:a"]},
            OVERLAP | {"method": "is_contains", "default_value": "x"},
        ],
        "hash_function": "md5",
    }
    (tmp_path / "fg.json").write_text(json.dumps(fg))
    with pytest.raises(ConfigError) as caught:
        load_config("fg.json")
    text = str(caught.value).replace(one_of(FEATURE_TYPES), "<the types that are built>")  # so that a further type changes nothing
    golden("config_problems.txt", f"{text}\n")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KNOWN = sorted({*TYPE_KEYS["id_feature"], *TYPE_KEYS["overlap_feature"], *keys.ALIASES, "sequence_name"})
WORDS = st.sampled_from([*FEATURE_TYPES, *overlap_feature.METHODS, "user:a", "method=log10", "1"])


def outcome_of(*features) -> FeatureConfig | ConfigError:
    try:
        return load_config({"features": list(features)})
    except ConfigError as error:
        return error


@given(st.lists(st.dictionaries(st.sampled_from(KNOWN), WORDS | JSON_VALUES, max_size=8) | JSON_VALUES, max_size=3))
def test_nothing_but_a_config_error_is_ever_raised(features):
    outcome = outcome_of(*features)
    assert outcome.problems if isinstance(outcome, ConfigError) else len(outcome.features) == len(features)


@given(st.sampled_from([HASHED, RAW, COMBO, OVERLAP, LISTED]), st.sampled_from(KNOWN), WORDS | JSON_VALUES)
def test_one_wrong_value_in_a_good_feature_is_at_worst_a_config_error(feature, key, value):
    outcome = outcome_of(feature | {key: value})
    if isinstance(outcome, ConfigError):
        assert all(problem.startswith("features[0]") for problem in outcome.problems)
    else:
        assert hash(outcome) == hash(outcome_of(feature | {key: value}))
