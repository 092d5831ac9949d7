"""slice_feature in compiled kernels: values and characters, places from both ends, all column types, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import slice_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named
from reference_outputs import ids_of, output_of, rows_of

from tvm_rank.ops.slice_feature import characters


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES, "farm")


@pytest.mark.parametrize("column", **named(cases.COLUMNS))
def test_each_named_column_has_the_ids_of_the_definition(compiled, column):
    compiled.check({"values": column})


@given(column=st.sampled_from(arrow.SIZES).flatmap(lambda rows: arrow.columns(rows, arrow.TYPES)))
@settings(max_examples=60)
def test_generated_columns_have_the_ids_of_the_definition(compiled, column):
    compiled.check({"values": column})


@given(text=st.text(), start=st.none() | st.integers(-9, 9), end=st.none() | st.integers(-9, 9))
def test_characters_are_those_of_unicode(text, start, end):
    assert b"".join(characters(text.encode())[start:end]) == text[start:end].encode()


def cut(column: pa.Array, **keys) -> list[list[int]]:
    feature = {"feature_type": "slice_feature", "expression": "user:v", "separator": "|", "hash_bucket_size": 1000, **keys}
    return rows_of(output_of(feature, column))


def test_values_and_characters_are_cut_as_python_cuts():
    column = pa.array(["ab|cd|ef", "价格带"])
    hashed = {"hash_bucket_size": 1000, "separator": "|"}
    assert cut(column, start=1) == ids_of(pa.array(["cd|ef", None]), **hashed)
    assert cut(column, end=-1, unit="character") == ids_of(pa.array(["a|c|e", "价格"]), **hashed)
    assert cut(column, start=2, unit="character", default_value="d") == ids_of(pa.array(["d", "带"]), **hashed)
