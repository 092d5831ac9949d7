"""Host stages that read features which kernels compute."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases.tokenize_feature import write_models

import tvm_rank
from tvm_rank.errors import RankError

LOOK = {"feature_name": "look", "feature_type": "lookup_feature", "map": "user:names", "key": "item:key", "needDiscrete": True,
        "needKey": False, "stub_type": True}  # fmt: skip
DIGITS = {"feature_name": "digits", "feature_type": "regex_replace_feature", "expression": "feature:look", "regex_pattern": "[^0-9]",
          "num_buckets": 100, "default_value": "99"}  # fmt: skip
PLAIN = {"feature_name": "key", "feature_type": "id_feature", "expression": "item:key", "vocab_list": ["a", "b"],
         "default_bucketize_value": 5}  # fmt: skip


def test_a_stage_reads_the_texts_of_a_lookup():
    program = tvm_rank.compile_features({"features": [LOOK, DIGITS, PLAIN]})
    assert set(program.fields) == {"names", "key"}
    columns = {"names": pa.array([["a:id7", "b:x42"]]), "key": ["a", "b", "c", None]}
    out = program(columns)
    assert list(out) == ["digits", "key"]
    assert out["digits"].values.tolist() == [7, 42, 99, 99]
    assert out["key"].values.tolist() == [0, 1, 5]
    none = program({"names": pa.array([["a:id7"]]), "key": ["c", "d"]})
    assert none["digits"].values.tolist() == [99, 99]


def test_a_stage_reads_the_ids_of_numbers():
    raw = {"feature_name": "look", "feature_type": "raw_feature", "expression": "item:x", "boundaries": [0, 10, 20]}
    out = tvm_rank.compile_features({"features": [raw, DIGITS]})({"x": [-5.0, 15.0, None]})
    assert (out["look"].values.tolist(), out["digits"].values.tolist()) == ([0, 2, 1], [0, 2, 1])


def test_a_stage_over_a_sequence_is_refused():
    history = LOOK | {"feature_type": "sequence_lookup_feature", "key": "user:keys"}
    with pytest.raises(RankError, match="regex_replace_feature reads feature:look: one of them is a sequence"):
        tvm_rank.compile_features({"features": [history, DIGITS]})


def test_a_tokenizer_over_several_texts_is_refused(tmp_path):
    write_models(tmp_path)
    words = {
        "feature_name": "words",
        "feature_type": "tokenize_feature",
        "expression": "feature:look",
        "vocab_file": "tokenizer.json",
    }
    with pytest.raises(
        RankError, match=r"it takes one text a row, and features\[0\] may give several; set that one's value_dim to 1"
    ):
        tvm_rank.compile_features({"features": [LOOK, words]}, base_dir=tmp_path)
