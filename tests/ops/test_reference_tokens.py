"""Columns to texts: types, splitting, what is missing."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvm_rank.config.number import parse_float, parse_int64
from tvm_rank.config.spec import Field, HashBucket
from tvm_rank.config.types.id_feature import IdFeature
from tvm_rank.errors import InputError
from tvm_rank.ops.reference import check_columns, format_numbers, tokens

FEATURE = IdFeature(
    name="f", path="features[0]", default_value="", bucketizer=HashBucket(size=9), fields=(Field(side="user", name="c"),)
)
OTHERS = [
    pa.array([1], pa.int8()), pa.array([1], pa.int16()), pa.array([1], pa.uint8()), pa.array([1], pa.uint64()), pa.array([True]),
    pa.array([None]), pa.array(["a"], pa.large_string()), pa.array([b"a"]), pa.array([["a"]], pa.large_list(pa.string())),
    pa.array([[["a"]]]), pa.array([[True]]), pa.array(["a"]).dictionary_encode(), pa.array([1.0], pa.float16()),
]  # fmt: skip
MAPS = [
    pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float32())),
    pa.array([[(1, 2)]], pa.map_(pa.int64(), pa.int32())),
]


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        pytest.param(pa.array(["a\x1db|c"]), [b"a", b"b", b"c"], id="both-separators-split"),
        pytest.param(pa.array(["|a||\x1d|b|"]), [b"a", b"b"], id="empty-texts-are-dropped"),
        pytest.param(pa.array(["a b "]), [b"a b "], id="blanks-stay"),
        pytest.param(pa.array(["a\0b"]), [b"a\0b"], id="nul-is-a-byte"),
        pytest.param(pa.array([["a|b", "c"]]), [b"a|b", b"c"], id="list-elements-are-not-split"),
        pytest.param(pa.array([["a", None, "", "b"]]), [b"a", b"b"], id="null-and-empty-elements-are-dropped"),
        pytest.param(pa.array([-5], pa.int32()), [b"-5"], id="int32"),
        pytest.param(pa.array([-(2**63)]), [b"-9223372036854775808"], id="int64"),
        pytest.param(pa.array([5.2]), [b"5.2"], id="float64"),
        pytest.param(pa.array([0.1], pa.float32()), [b"0.1"], id="float32-in-its-own-shortest-form"),
        pytest.param(pa.array([1e20]), [b"1e+20"], id="large-float"),
        pytest.param(pa.array([3.0]), [b"3"], id="whole-float"),
        pytest.param(pa.array([float("nan")]), [b"nan"], id="nan-is-text"),
        pytest.param(pa.array([[1, None, 2]]), [b"1", b"2"], id="list-of-int"),
        pytest.param(pa.array([""]), [], id="empty"),
        pytest.param(pa.array(["\x1d|"]), [], id="separators-only"),
        pytest.param(pa.array([None], pa.string()), [], id="null-text"),
        pytest.param(pa.array([None], pa.int64()), [], id="null-number"),
        pytest.param(pa.array([[]], pa.list_(pa.string())), [], id="empty-list"),
        pytest.param(pa.array([[None]], pa.list_(pa.string())), [], id="list-of-null"),
        pytest.param(pa.array([None], pa.list_(pa.int64())), [], id="null-list"),
    ],
)
def test_the_tokens_of_a_row(column, wanted):
    assert tokens(column, 0, ("\x1d", "|")) == wanted


def test_bytes_that_are_no_utf_8_are_bytes():
    text = pa.array([b"\xff|\x80"]).view(pa.string())
    assert tokens(text, 0, ("\x1d", "|")) == [b"\xff", b"\x80"]


def test_a_column_of_one_row_serves_every_row():
    assert tokens(pa.array(["a"]), 5) == [b"a"]


def test_a_slice_starts_at_its_own_first_row():
    assert tokens(pa.array(["a", "b", "c"])[1:], 1) == [b"c"]
    assert tokens(pa.array([["a"], ["b", "c"], []])[1:], 0) == [b"b", b"c"]


def test_numbers_are_formatted_as_arrow_casts_them():
    assert format_numbers(pa.array([1.0, 5.2, 1e-7, None])).to_pylist() == ["1", "5.2", "1e-7", None]


@pytest.mark.parametrize("column", OTHERS, ids=lambda column: str(column.type))
def test_other_types_are_refused_with_what_is_accepted(column):
    with pytest.raises(InputError, match=r"feature 'f', field user:c: type .* is not accepted; cast the column to int32,"):
        check_columns(FEATURE, [column], 1)


@pytest.mark.parametrize("column", MAPS, ids=lambda column: str(column.type))
def test_maps_are_accepted_where_weights_are_wanted(column):
    check_columns(FEATURE, [column], 1, with_map=True)
    with pytest.raises(InputError, match=r"type map<.*> is not accepted"):
        check_columns(FEATURE, [column], 1)


def test_a_column_of_another_length_is_refused():
    with pytest.raises(InputError, match=r"feature 'f', field user:c: wanted 3 rows, or 1 for all, got 2"):
        check_columns(FEATURE, [pa.array(["a", "b"])], 3)
    with pytest.raises(InputError, match="wanted 1 columns, got 2"):
        check_columns(FEATURE, [pa.array(["a"])] * 2, 1)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"7", 7), (b"-7", -7), (b"+01", 1), (b"00099", 99), (b"-0", 0), (b"1000000000000000000", 10**18),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", 2**63 - 1), (b"-9223372036854775809", -(2**63)), (b"1" * 5000, 2**63 - 1), (b"0" * 5000 + b"3", 3),
        (b"", None), (b"+", None), (b" 1", None), (b"1 ", None), (b"1.0", None), (b"1e3", None), (b"1_0", None), (b"--1", None),
        (b"0x1", None), ("１".encode(), None), (b"1\n", None),
    ],
)  # fmt: skip
def test_integers_are_a_sign_and_digits_and_saturate(text, wanted):
    assert parse_int64(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"1", 1.0), (b"-1.5", -1.5), (b"+.5", 0.5), (b"1.", 1.0), (b"1e3", 1000.0), (b"1.E-2", 0.01), (b"1e999", float("inf")),
        (b"1e-999", 0.0), (b"inf", float("inf")), (b"-Infinity", float("-inf")), (b"16777217", 16777217.0),
        (b"", None), (b".", None), (b"e5", None), (b"1e", None), (b" 1", None), (b"1 ", None), (b"1_0", None), (b"0x10", None),
        (b"infin", None), (b"1,5", None), (b"1\0", None), (b"1\n", None),
    ],
)  # fmt: skip
def test_numbers_are_decimal_or_infinite(text, wanted):
    assert parse_float(text) == wanted


def test_nan_is_a_number_in_any_case():
    for text in (b"nan", b"-NaN", b"+NAN"):
        number = parse_float(text)
        assert number is not None
        assert number != number


@given(st.text(alphabet="0123456789+-.eE_ infaty\n") | st.floats().map(repr))
def test_every_number_is_one_that_python_reads(text):
    number = parse_float(text.encode())
    if number is not None:
        assert number == float(text) or number != number
    elif not set(text) & set("_ \n"):
        with pytest.raises(ValueError, match="could not convert"):
            float(text)
