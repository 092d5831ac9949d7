"""bool_mask_feature in compiled kernels: all column types on both sides, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import bool_mask_feature as cases
from cases import columns as arrow
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named
from reference_outputs import output_of, rows_of


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.mark.parametrize("columns", **named(cases.COLUMNS))
def test_each_named_batch_has_the_ids_of_the_definition(compiled, columns):
    compiled.check(dict(zip(("values", "mask"), columns, strict=True)))


def masks(kind: pa.DataType) -> st.SearchStrategy:
    """Mostly what is true or false."""
    if kind != pa.string():
        return st.sampled_from([0, 1, 1, 2, -1])
    return st.sampled_from([b"true", b"false", b"True", b"1", b"0", b"1", b"", b"x", b"truth"])


def values(kind: pa.DataType) -> st.SearchStrategy:
    """Integers and words; a word that is kept fails num_buckets."""
    return (
        st.sampled_from([b"1", b"22", b"-3", b"007", b"99999999999999999999", b""]) if kind == pa.string() else arrow.numbers(kind)
    )


INTEGERS = tuple(kind for kind in arrow.TYPES if "float" not in str(kind) and "double" not in str(kind))


@st.composite
def batches(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    return {"values": draw(arrow.columns(rows, INTEGERS, values)), "mask": draw(arrow.columns(rows, arrow.TYPES, masks))}


@given(columns=batches())
@settings(max_examples=60)
def test_generated_batches_have_the_ids_of_the_definition(compiled, columns):
    compiled.check(columns)


@given(rows=st.sampled_from(arrow.SIZES[1:]), data=st.data())
@settings(max_examples=20)
def test_a_kept_text_that_is_no_integer_is_refused_where_the_definition_refuses(compiled, rows, data):
    columns = {"values": data.draw(arrow.columns(rows, arrow.TYPES)), "mask": data.draw(arrow.columns(rows, arrow.TYPES, masks))}
    if compiled.refuses(columns):
        compiled.check_refused(columns)
    else:
        compiled.check(columns)


def kept(values: pa.Array, mask: pa.Array, **keys) -> list[list[int]]:
    feature = {"feature_type": "bool_mask_feature", "expression": ["user:v", "user:m"], "separator": ",", "num_buckets": 10, **keys}
    return rows_of(output_of(feature, values, mask))


def test_the_engine_keeps_the_values_whose_mask_is_true():
    assert kept(pa.array(["1,2,3,4"]), pa.array(["true,false,true,false"])) == [[1, 3]]
    assert kept(pa.array(["1", "2", None]), pa.array(["true", "false", "true"])) == [[1], [], []]
    assert kept(pa.array([[1, 2, 3, 4]]), pa.array([[1, 0, 1, 0]])) == [[1, 3]]


def test_empty_values_keep_their_place_beside_the_mask():
    assert kept(pa.array(["1,,3"]), pa.array(["false,true,true"])) == [[3]]
    assert kept(pa.array([[1, None, 3]]), pa.array(["0,1,1"])) == [[3]]
    assert kept(pa.array(["1,2,3"]), pa.array(["1"]), default_value="9") == [[1]]
    assert kept(pa.array(["1,2,3"]), pa.array(["0"]), default_value="9") == [[9]]
