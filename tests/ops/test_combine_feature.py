"""combine_feature in compiled kernels: every combiner, numbers and mapped texts, all column types, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import combine_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named
from reference_outputs import output_of, rows_of


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.mark.parametrize("column", **named(cases.COLUMNS))
def test_each_named_column_has_the_numbers_of_the_definition(compiled, column):
    compiled.check({"values": column})


def values(kind: pa.DataType) -> st.SearchStrategy:
    """Numbers in texts, words that have a number, and others."""
    if kind != pa.string():
        return arrow.numbers(kind)
    words = st.sampled_from([word.encode() for word in cases.WORDS])
    return words | st.floats().map(lambda number: repr(number).encode()) | arrow.texts.filter(bool)


@given(column=st.sampled_from(arrow.SIZES).flatmap(lambda rows: arrow.columns(rows, arrow.TYPES, values)))
@settings(max_examples=60)
def test_generated_columns_have_the_numbers_of_the_definition(compiled, column):
    compiled.check({"values": column})


def combined(column: pa.Array, **keys) -> list[list[float]]:
    out = output_of({"feature_type": "combine_feature", "expression": "item:values", **keys}, column)
    return rows_of(out) if out.dense is None else out.dense.tolist()


def test_the_engine_combines_texts_and_mapped_texts():
    texts = pa.array(["1.0\x1d2.0", "3.0", "", None])
    assert combined(texts) == [[3.0], [3.0], [0.0], [0.0]]
    assert combined(texts, boundaries=[-0.5, 0.5, 1.5, 2.5]) == [[4], [4], [1], [1]]
    tags = pa.array(["tag1\x1dtag2", "tag3", "", None])
    keys = {"value_map": {"tag1": 1.0, "tag2": 2.0, "tag3": 3.0}, "value_type": "int64", "num_buckets": 10}
    assert combined(tags, **keys) == [[3], [3], [0], [0]]
    assert combined(tags, combiner="mean", **keys) == [[1], [3], [0], [0]]


def test_what_has_no_number_is_dropped():
    column = pa.array([["1", "x", None, "3", ""], ["x"]])
    assert combined(column, combiner="mean") == [[2.0], [0.0]]
    assert combined(column, combiner="count") == [[2.0], [0.0]]
    assert combined(pa.array([[None, 4.0]]), combiner="mean") == [[4.0]]
    assert combined(column, combiner="count", value_map={"x": 7}, default_value="-1") == [[1.0], [1.0]]
    assert combined(column, combiner="sum", value_map={"3": 7}, default_value="-1") == [[7.0], [-1.0]]


def test_gaps_are_those_of_neighbours():
    column = pa.array([[10, 13, 4], [5]])
    assert combined(column, combiner="gap_min") == [[3.0], [0.0]]
    assert combined(column, combiner="gap_max") == [[9.0], [0.0]]
