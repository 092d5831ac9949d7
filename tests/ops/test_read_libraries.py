"""What features read of library features without a bucketizer: texts stay whole, lists lists; prefix and default are those of a row."""

from __future__ import annotations

import pathlib

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases.tokenize_feature import write_models
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

STUB = {"stub_type": True, "expression": "item:text"}
NORMALIZER = STUB | {"feature_type": "text_normalizer", "parameter": 4 + 32, "separator": " "}
REGEX = STUB | {"feature_type": "regex_replace_feature", "regex_pattern": "[ab]", "replacement": "-", "separator": "|"}
TOKENS = STUB | {"feature_type": "tokenize_feature", "vocab_file": "tokenizer.json", "output_type": "word"}
STUBS = {
    "normalized": NORMALIZER | {"default_value": "none |x"},
    "named": NORMALIZER | {"need_prefix": True, "value_dim": 2},
    "replaced": REGEX,
    "values": REGEX | {"value_dim": 2, "default_value": "d|e", "need_prefix": True},
    "elements": NORMALIZER | {"is_sequence": True, "separator": "|"},
}
HASH = {"hash_bucket_size": 10**9}


def readers(name: str) -> dict[str, dict]:
    """Features that read a stub: split, joined, cut, and by another library."""
    given = {"expression": f"feature:{name}", "is_sequence": name == "elements"} | HASH
    return {
        f"id-{name}": given | {"feature_type": "id_feature", "separator": "|"},
        f"combo-{name}": given | {"feature_type": "combo_feature", "expression": [f"feature:{name}", "item:other"]},
        f"slice-{name}": given | {"feature_type": "slice_feature", "unit": "character", "end": 3, "separator": " "},
        f"regex-{name}": given | {"feature_type": "regex_replace_feature", "regex_pattern": "c", "separator": " ", "value_dim": 0},
    }


STRINGS = pa.list_(pa.string())
COLUMNS = {
    "texts": arrow.column([b"Ab c!d|A b", None, b"", b"ca|cB;x |cc c", b"|", b" ;"], pa.string()),
    "lists": arrow.column([[b"Ab c", b"A|b", None], None, [], [b"", b"x y;z"], [b"c"], [None]], STRINGS),
    "numbers": arrow.column([1, 2, None, 4, 5, 6], pa.int64()),
}
OTHER = pa.array(["u", None, "v", "w", "x", "y"])


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(STUBS | {name: keys for stub in STUBS for name, keys in readers(stub).items()})


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    features = {
        "words": TOKENS | {"need_prefix": True, "default_value": "red shirt"},
        "read": {"feature_type": "id_feature", "expression": "feature:words", **HASH},
        "lower": STUB | {"feature_type": "text_normalizer", "parameter": 4},
        "ids": {"feature_type": "tokenize_feature", "vocab_file": "tokenizer.json", "expression": "feature:lower"},
    }
    folder: pathlib.Path = write_models(tmp_path_factory.mktemp("models"))
    return Compiled(features, base_dir=folder)


@pytest.mark.parametrize("column", **named(COLUMNS))
def test_each_named_column_is_read_as_the_definition_says(compiled, column):
    compiled.check({"text": column, "other": OTHER})


def test_a_normalized_text_is_tokenized_whole_and_tokens_are_read_one_by_one(tokens):
    tokens.check({"text": COLUMNS["texts"]})
    tokens.check({"text": arrow.column([b"RED Cotton", None, b"blue|dress", "连衣裙".encode()], pa.string())})
    assert (
        tokens.program({"text": ["RED cotton"]})["ids"].lengths.tolist()
        == tokens.program({"text": ["red cotton"]})["ids"].lengths.tolist()
    )


def test_a_row_without_texts_has_the_default_once_and_without_prefix(compiled):
    out = compiled.program({"text": pa.array([[None, ""], None, ["a"]], STRINGS), "other": ["u"]})
    assert out["id-values"].lengths.tolist() == [1, 1, 1]
    assert out["id-values"].values[0] == out["id-values"].values[1]
    assert out["id-normalized"].lengths.tolist() == [1, 1, 1]


@given(data=st.data())
@settings(max_examples=25)
def test_generated_columns_are_read_as_the_definition_says(compiled, data):
    column = data.draw(arrow.columns(data.draw(st.sampled_from(arrow.SIZES)), (pa.string(), STRINGS)))
    compiled.check({"text": column, "other": pa.array(["u"])})
