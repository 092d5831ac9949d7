"""kv_dot_product in compiled kernels: all column types, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import kv_dot_product as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

from tvm_rank.errors import InputError

MAPS = tuple(pa.map_(key, item) for key in (pa.string(), pa.int64()) for item in arrow.NUMBERS)
TYPES = (*arrow.TYPES, pa.string(), pa.list_(pa.string()), *MAPS)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.mark.parametrize("columns", **named(cases.COLUMNS))
def test_each_named_batch_has_the_numbers_of_the_definition(compiled, columns):
    compiled.check(dict(zip(("query", "document"), columns, strict=True)))


def test_a_map_to_text_is_refused_by_name(compiled):
    maps = pa.array([[("a", "1")]], pa.map_(pa.string(), pa.string()))
    with pytest.raises(InputError, match="column 'query': the map's values are string"):
        compiled.program({"query": maps, "document": ["a"]})


def parts(kind: pa.DataType) -> st.SearchStrategy:
    """Few different keys, with and without weights."""
    if kind != pa.string():
        return st.sampled_from([1, 2, -3, 12345678]) if pa.types.is_integer(kind) else st.sampled_from([1.0, 2.0, 0.5])
    keys = st.sampled_from([b"1", b"2", b"-3", b"01", b"a", b"12345678", b"123456789", b"x" * 70, b""])
    weights = st.sampled_from([b"", b":", b":2", b":-0.1", b":x", b"=3", b":1:2", b":1e200"])
    return st.builds(bytes.__add__, keys, weights | st.floats(-10, 10).map(lambda number: b":%r" % number))


def rows(kind: pa.DataType) -> st.SearchStrategy:
    """Rows of up to thirty parts."""
    if pa.types.is_map(kind):
        keys = parts(kind.key_type).map(lambda key: key.partition(b":")[0] if isinstance(key, bytes) else key)
        return st.none() | st.lists(st.tuples(keys, st.none() | arrow.numbers(kind.item_type)), max_size=30)
    if pa.types.is_list(kind):
        return st.none() | st.lists(st.none() | parts(kind.value_type), max_size=30)
    return st.none() | (st.lists(parts(kind), max_size=30).map(b"|".join) if kind == pa.string() else parts(kind))


@st.composite
def batches(draw):
    count = draw(st.sampled_from(arrow.SIZES))
    return {side: draw(arrow.columns(count, TYPES, row_strategy=rows)) for side in ("query", "document")}


@given(columns=batches())
@settings(max_examples=60)
def test_generated_batches_have_the_numbers_of_the_definition(compiled, columns):
    compiled.check(columns)
