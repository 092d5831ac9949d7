"""raw_feature in compiled kernels: every normalizer, with and without boundaries, all column types, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import raw_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

OPTIMIZED = True  # see tests/conftest.py

LISTS = tuple(kind for kind in arrow.TYPES if pa.types.is_list(kind))


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.mark.parametrize("column", **named(cases.ONE_COLUMNS))
def test_each_named_column_has_the_numbers_of_the_definition(compiled, column):
    compiled.check(cases.GOOD | {"one": column})


@pytest.mark.parametrize("column", **named(cases.THREE_COLUMNS))
def test_vectors_have_the_numbers_of_the_definition(compiled, column):
    compiled.check(cases.GOOD | {"three": column})


@pytest.mark.parametrize(("field", "column"), **named(cases.REFUSED))
def test_another_count_of_numbers_is_refused_with_its_feature_and_row(compiled, field, column):
    columns = cases.GOOD | {field: column}
    assert compiled.refuses(columns)
    compiled.check_refused(columns)


def number_texts(_kind: pa.DataType = None) -> st.SearchStrategy[bytes]:
    """One value of a text column: a number in some spelling, or no number; never empty, never two."""
    spelled = st.floats().map(repr) | st.floats(width=32).map(repr) | st.integers().map(str) | st.decimals(allow_nan=False).map(str)
    others = st.sampled_from([b"x", b"+1", b".5", b"1.", b"1e", b"-", b"Infinity", b"1E5", b"0" * 70 + b"1", b"9" * 300, b"\xff"])
    return spelled.map(str.encode) | others


def one_number(kind: pa.DataType) -> st.SearchStrategy:
    """Rows of at most one number."""
    if pa.types.is_list(kind):
        element = number_texts() if kind.value_type == pa.string() else st.none() | arrow.numbers(kind.value_type)
        dropped = st.sampled_from([[], [None], [b""]]) if kind.value_type == pa.string() else st.just([])
        return st.none() | dropped | element.map(lambda value: [value])
    if kind != pa.string():
        return st.none() | arrow.numbers(kind)
    ends = st.sampled_from([b"", b"", b"|", b"\x1d|"])
    return st.none() | st.just(b"") | ends | st.builds(lambda a, number, b: a + number + b, ends, number_texts(), ends)


def three_numbers(kind: pa.DataType) -> st.SearchStrategy:
    """Rows of three numbers or none."""
    if kind == pa.string():
        separators = st.sampled_from([b"|", b"\x1d", b"||"])
        parts = st.tuples(number_texts(), separators, number_texts(), separators, number_texts())
        return st.none() | st.just(b"") | parts.map(b"".join)
    element = number_texts() if kind.value_type == pa.string() else st.none() | arrow.numbers(kind.value_type)
    return st.none() | st.just([]) | st.lists(element, min_size=3, max_size=3)


@st.composite
def batches(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    return {
        "one": draw(arrow.columns(rows, arrow.TYPES, row_strategy=one_number)),
        "three": draw(arrow.columns(rows, (pa.string(), *LISTS), row_strategy=three_numbers)),
    }


@given(columns=batches())
@settings(max_examples=80)
def test_generated_batches_have_the_numbers_of_the_definition(compiled, columns):
    compiled.check(columns)


@given(rows=st.sampled_from(arrow.SIZES[1:]), kind=st.sampled_from((pa.string(), *LISTS)), data=st.data())
def test_generated_rows_are_refused_where_the_definition_refuses(compiled, rows, kind, data):
    numbers = number_texts if kind == pa.string() or kind.value_type == pa.string() else arrow.numbers
    column = data.draw(arrow.columns(rows, [kind], numbers))
    columns = cases.GOOD | {data.draw(st.sampled_from(["one", "three"])): column}
    if compiled.refuses(columns):
        compiled.check_refused(columns)
    else:
        compiled.check(columns)
