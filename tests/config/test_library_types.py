"""regex_replace_feature, text_normalizer and tokenize_feature in fg.json: what is read, and what is refused."""

from __future__ import annotations

import contextlib
import json
import pathlib

import numpy as np
import pytest
from cases.tokenize_feature import write_models

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import NumBuckets
from tvm_rank.errors import ConfigError

REGEX = {"feature_type": "regex_replace_feature", "regex_pattern": "a", "replacement": "", "hash_bucket_size": 10}
NORMALIZER = {"feature_type": "text_normalizer", "hash_bucket_size": 10}
BPE = {"feature_type": "tokenize_feature", "vocab_file": "tokenizer.json"}
SENTENCEPIECE = {"feature_type": "tokenize_feature", "vocab_file": "spiece.model", "tokenizer_type": "sentencepiece"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return write_models(tmp_path_factory.mktemp("models"))


def read(keys: dict, base_dir="."):
    return load_config({"features": [{"feature_name": "f", "expression": "item:t", **keys}]}, base_dir=base_dir).features[0]


PROBLEMS = [
    (REGEX | {"regex_pattern": "("}, "regex_pattern: '(': Invalid regular expression: missing )"),
    (REGEX | {"regex_pattern": "(?=a)"}, "regex_pattern: '(?=a)': Invalid regular expression: invalid perl operator"),
    (REGEX | {"regex_pattern": ["(", ")"]}, "regex_pattern: '(': Invalid regular expression"),
    (REGEX | {"regex_pattern": []}, "regex_pattern: wanted a list of at least one pattern, got an empty list"),
    (REGEX | {"regex_pattern": ""}, "regex_pattern: wanted a pattern, or a list of patterns, got an empty pattern, which matches"),
    (REGEX | {"regex_pattern": ["a", ""]}, "regex_pattern: wanted a pattern, or a list of patterns, got an empty pattern"),
    (REGEX | {"regex_pattern": [7]}, "regex_pattern: wanted a pattern, or a list of patterns, got the number 7"),
    (REGEX | {"regex_pattern": "((a{30}){30}){30}"}, "has 27000 characters when its repetitions are written out; at most 2000"),
    (REGEX | {"replacement": "\\1"}, "replacement: 'a': Invalid replacement string"),
    ({k: v for k, v in REGEX.items() if k != "regex_pattern"}, "features[0]: 'regex_pattern' is missing; write a pattern in RE2's"),
    (NORMALIZER | {"parameter": 6}, "parameter: 6 asks for upper (2) and for lower case (4); keep one of the two bits"),
    (NORMALIZER | {"parameter": 65}, "parameter: 65 has the unknown bits 65; the bits are 2 lower to upper case, 4 upper to lower"),
    (NORMALIZER | {"is_gbk_input": True}, "is_gbk_input: Arrow's texts are UTF-8; convert the column before, and remove the key"),
    (NORMALIZER | {"stop_char_file": "gone.txt"}, "stop_char_file: cannot read gone.txt"),
    (NORMALIZER | {"max_length": -1}, "max_length: wanted an integer of at least 0"),
    (BPE | {"vocab_file": "gone.json"}, "vocab_file: cannot read gone.json"),
    (BPE | {"vocab_file": "../tokenizer.json"}, "vocab_file: ../tokenizer.json leads out of"),
    (BPE | {"vocab_file": "spiece.model"}, "vocab_file: not a tokenizer.json: not UTF-8 at byte"),
    (SENTENCEPIECE | {"vocab_file": "tokenizer.json"}, "vocab_file: not a model that `sentencepiece` reads"),
    (BPE | {"tokenizer_type": "wordpiece"}, "tokenizer_type: unknown value 'wordpiece'; allowed: bpe, sentencepiece"),
    (BPE | {"output_type": "words"}, "output_type: unknown value 'words'; did you mean 'word'?; allowed: word_id, word"),
    (BPE | {"output_type": "word"}, "features[0]: 'hash_bucket_size' is missing; ids need one bucketizer"),
    (BPE | {"vocab_file": None}, "vocab_file: wanted text, got null"),
    ({"feature_type": "tokenize_feature"}, "features[0]: 'vocab_file' is missing; name the tokenizer.json or sentencepiece model"),
]


@pytest.mark.parametrize(("keys", "wanted"), PROBLEMS)
def test_a_wrong_feature_is_told_where_what_and_what_was_wanted(models, keys, wanted):
    with pytest.raises(ConfigError) as caught:
        read(keys, models)
    assert any(wanted in problem for problem in caught.value.problems), caught.value.problems


def test_patterns_become_one_and_flags_go_before(models):
    feature = read(REGEX | {"regex_pattern": ["(?s)a.b", "c"], "icase": True}, models)
    assert (feature.pattern, feature.value_dim, feature.default_value) == ("(?i)(?s)a.b|c", 1, "")


def test_token_ids_are_the_ids_of_the_feature(models):
    bpe, pieces = read(BPE, models), read(SENTENCEPIECE | {"embedding_dim": 8}, models)
    assert bpe.bucketizer == NumBuckets(size=len(json.loads((models / "tokenizer.json").read_text())["model"]["vocab"]))
    assert bpe.default_value == "0"
    assert isinstance(pieces.bucketizer, NumBuckets)
    assert pieces.embedding.dim == 8
    assert read(BPE | {"hash_bucket_size": 5}, models).bucketizer.size == 5


def test_stop_characters_come_from_a_gbk_file(tmp_path):
    (tmp_path / "stop.txt").write_bytes("，\r\n。!\n".encode("gbk"))
    assert read(NORMALIZER | {"stop_char_file": "stop.txt"}, tmp_path).stop_characters == frozenset("，。!")
    (tmp_path / "stop.txt").write_bytes(b"a\xff")
    with pytest.raises(ConfigError, match="stop_char_file: is not GBK at byte 1; save it as GBK"):
        read(NORMALIZER | {"stop_char_file": "stop.txt"}, tmp_path)


@pytest.mark.parametrize("keys", [BPE, SENTENCEPIECE])
def test_a_damaged_vocabulary_is_a_problem_of_the_configuration_or_harmless(models, tmp_path, keys):
    good = (models / keys["vocab_file"]).read_bytes()
    rng = np.random.default_rng(3)
    for kind in range(30):
        data = bytearray(good[: rng.integers(len(good))] if kind % 3 == 0 else good)
        for place in rng.integers(len(data), size=min(10, len(data))) if kind % 3 else ():
            data[place] = rng.integers(256)
        (tmp_path / keys["vocab_file"]).write_bytes(data)
        with contextlib.suppress(ConfigError):
            read(keys, tmp_path)
