"""Sequences of library features: the stage works element by element, the ids behind it are those of the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases.tokenize_feature import write_models
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

from tvm_rank.errors import InputError

REGEX = {"feature_type": "regex_replace_feature", "regex_pattern": "[ab]", "replacement": "-", "hash_bucket_size": 1000}
NORMALIZER = {"feature_type": "text_normalizer", "parameter": 4 + 8, "hash_bucket_size": 1000}
BPE = {"feature_type": "tokenize_feature", "vocab_file": "tokenizer.json"}
PIECES = {"feature_type": "tokenize_feature", "vocab_file": "spiece.model", "tokenizer_type": "sentencepiece"}
SEQUENCE = {"is_sequence": True, "sequence_delim": ";", "separator": "|", "expression": "item:text"}

FEATURES = {
    name: SEQUENCE | keys
    for name, keys in {
        "whole": REGEX | {"default_value": "none"},
        "values": REGEX | {"value_dim": 0, "sequence_length": 2},
        "two": REGEX | {"value_dim": 2},
        "normalized": NORMALIZER | {"value_dim": 0, "default_value": "A|B"},
    }.items()
}
TOKENS = {
    name: SEQUENCE | keys
    for name, keys in {
        "bpe": BPE | {"default_value": "xyz"},
        "first-three": BPE | {"sequence_length": 3, "value_dim": 2},
        "pieces": PIECES | {"default_value": "red"},
        "words": PIECES | {"output_type": "word", "hash_bucket_size": 100},
    }.items()
}
STRINGS, NESTED = pa.list_(pa.string()), pa.list_(pa.list_(pa.string()))
ONE_TEXT = {
    "texts": arrow.column([b"aB;b|c", b"", None, b";", b"x;;ya\x1db;d;e", b"\xff;\xe4\xb8"], pa.string()),
    "lists": arrow.column([[b"a", None, b"b;c"], [], None, [b"", b"x|y"]], STRINGS),
    "numbers": arrow.column([12, None, 3], pa.int64()),
    "no-rows": arrow.column([], pa.string()),
}
MANY = {"nested": pa.array([[["a", "b|c"], [], None], [], None, [["", "x"]]], NESTED)}


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(FEATURES)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return Compiled(TOKENS, base_dir=write_models(tmp_path_factory.mktemp("models")))


@pytest.mark.parametrize("column", **named(ONE_TEXT | MANY))
def test_each_named_column_has_the_ids_of_the_definition(compiled, column):
    compiled.check({"text": column})


@pytest.mark.parametrize("column", **named(ONE_TEXT))
def test_each_named_column_has_the_tokens_of_the_definition(tokens, column):
    tokens.check({"text": column})


def test_an_element_of_several_texts_is_not_tokenized(tokens):
    with pytest.raises(InputError, match="takes one text a row; join the texts before"):
        tokens.program({"text": MANY["nested"]})


def rows(kind: pa.DataType) -> st.SearchStrategy:
    words = st.lists(arrow.texts | st.just(b""), max_size=4)
    return st.none() | (words.map(b";".join) if kind == pa.string() else words)


@given(data=st.data())
@settings(max_examples=25)
def test_generated_columns_have_the_ids_of_the_definition(compiled, tokens, data):
    column = data.draw(arrow.columns(data.draw(st.sampled_from(arrow.SIZES)), (pa.string(), STRINGS), row_strategy=rows))
    compiled.check({"text": column})
    tokens.check({"text": column})
