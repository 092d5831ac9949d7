"""lookup_feature in compiled kernels: every combiner and form, all column types, against the definition."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import lookup_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

from tvm_rank.errors import InputError

KEYS = (pa.string(), pa.int32(), pa.int64())
TEXTS = (pa.string(), pa.list_(pa.string()))
MAPS = (*(4 * TEXTS), *(pa.map_(key, item) for key in KEYS for item in arrow.SCALARS))


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.fixture(scope="module")
def numbers() -> Compiled:
    return Compiled(cases.NUMBER_FEATURES, "farm")


@pytest.mark.parametrize("columns", **named(cases.COLUMNS))
def test_each_named_batch_has_the_values_of_the_definition(compiled, columns):
    compiled.check(dict(zip(("map", "key"), columns, strict=True)))


def test_num_buckets_reads_the_bare_value_and_refuses_other_text_with_its_row(numbers):
    key = pa.array(["a", "b|a", "c"])
    numbers.check({"map": pa.array(["a:3\x1db:+07\x1dc:99"]), "key": key})
    numbers.check({"map": arrow.column([[(b"a", 2), (b"b", -1)]], pa.map_(pa.string(), pa.int32())), "key": key})
    numbers.check_refused({"map": pa.array(["a:3\x1db:7", "b:x", "c:1"]), "key": key})


@pytest.mark.parametrize("entries", [1, 8, 16, 17, 40])
def test_keys_of_every_length_are_found_whatever_stands_behind_them(numbers, entries):
    rng = np.random.default_rng(entries)
    keys = [b"key0123456789abcdefgh"[: k % 21] or b"k" for k in range(60)] + [b"key0123456789ab" + bytes([k]) for k in range(40)]
    chosen = [[keys[k] for k in rng.integers(0, len(keys), entries)] for _ in range(30)]  # with keys that come twice
    rows = [[(key, at) for at, key in enumerate(row)] for row in chosen]
    asked = [[row[0], row[-1], row[0][:-1] + b"?", row[-1] + b"?"] for row in chosen]
    for kind in (pa.map_(pa.string(), pa.int32()), pa.list_(pa.string())):  # the last keys of a column end with its buffer
        maps = rows if pa.types.is_map(kind) else [[key + b":%d" % at for key, at in row] for row in rows]
        numbers.check({"map": arrow.column(maps, kind), "key": arrow.column(asked, pa.list_(pa.string()))})


@pytest.mark.parametrize("column", [pa.array([1]), pa.array([[1.5]]), pa.array([[b"a"]], pa.list_(pa.binary())), pa.nulls(1)])
def test_a_column_that_is_no_map_is_refused_by_name(numbers, column):
    with pytest.raises(InputError, match=r"column 'map'"):
        numbers.program({"map": column, "key": ["a"]})


def keys(kind: pa.DataType) -> st.SearchStrategy:
    """Few different keys, so that maps have them, and some that nearly are the same."""
    if kind == pa.string():
        return st.sampled_from([b"1", b"2", b"-3", b"01", b"a", b"a\0", b"12345678", b"123456789", b"x" * 70, b"y" * 70, b"\xff"])
    return st.sampled_from([1, 2, -3, 12345678, 0]) if pa.types.is_integer(kind) else st.sampled_from([1.0, 2.0, 0.5])


def values(kind: pa.DataType) -> st.SearchStrategy:
    """Values of a map."""
    if kind != pa.string():
        return arrow.numbers(kind)
    few = st.sampled_from([b"1", b"-2.5", b"x", b"1,2", b"3,,x,4,5", b"nan", b"1e-50", b"1e400", b":", b","])
    return few | st.floats().map(lambda number: b"%r" % number)


def map_rows(kind: pa.DataType) -> st.SearchStrategy:
    """Rows of a column of maps in one of its forms."""
    if pa.types.is_map(kind):
        return st.none() | st.lists(st.tuples(keys(kind.key_type), st.none() | values(kind.item_type)), max_size=40)
    parts = st.builds(b"%s:%s".__mod__, st.tuples(keys(pa.string()), values(pa.string()))) | st.sampled_from(
        [b"a", b":", b"", b"a:"]
    )
    if pa.types.is_list(kind):
        return st.none() | st.lists(st.none() | parts, max_size=40)
    return st.none() | st.lists(parts, max_size=40).map(b"\x1d".join)


@st.composite
def batches(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    return {
        "map": draw(arrow.columns(rows, MAPS, row_strategy=map_rows)),
        "key": draw(arrow.columns(rows, arrow.TYPES, keys)),
    }


@given(columns=batches())
@settings(max_examples=40)
def test_generated_batches_have_the_values_of_the_definition(compiled, columns):
    compiled.check(columns)
