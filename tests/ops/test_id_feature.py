"""id_feature in compiled kernels: every bucketizer, both hashes, all column types, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import id_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

from tvm_rank.errors import InputError

WEIGHTED_TYPES = (pa.string(), pa.list_(pa.string()), pa.int64(), pa.float32(), *arrow.MAPS)
NUMBER_TYPES = (pa.string(), pa.int32(), pa.int64(), pa.list_(pa.string()), pa.list_(pa.int32()), pa.list_(pa.int64()))
NUMBER_MAPS = tuple(pa.map_(key, item) for key in (pa.string(), pa.int64()) for item in arrow.NUMBERS)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.fixture(scope="module")
def farm() -> Compiled:
    return Compiled(cases.HASHED, "farm")


@pytest.mark.parametrize("column", **named(cases.TEXT_COLUMNS))
def test_each_named_column_has_the_ids_of_the_definition(compiled, farm, column):
    compiled.check(cases.GOOD | {"text": column})
    farm.check(cases.GOOD | {"text": column})


@pytest.mark.parametrize("column", **named(cases.NUMBER_COLUMNS))
def test_num_buckets_clamps_integers_of_every_column_type(compiled, column):
    compiled.check(cases.GOOD | {"number": column, "number_pair": column})


@pytest.mark.parametrize("column", **named(cases.PAIR_COLUMNS))
def test_keys_and_weights_are_those_of_the_definition(compiled, farm, column):
    compiled.check(cases.GOOD | {"pair": column})
    farm.check(cases.GOOD | {"pair": column})


@pytest.mark.parametrize("column", **named(cases.REFUSED))
@pytest.mark.parametrize("field", ["number", "number_pair"])
def test_text_that_is_no_integer_is_refused_with_its_feature_and_row(compiled, field, column):
    columns = cases.GOOD | {field: column}
    assert compiled.refuses(columns)
    compiled.check_refused(columns)


def test_an_arrow_column_of_the_null_type_is_refused_but_a_list_of_none_is_empty_text(compiled):
    with pytest.raises(InputError, match="column 'text': unsupported type null"):
        compiled.program(cases.GOOD | {"text": pa.nulls(3)})
    assert compiled.program(cases.GOOD | {"text": [None] * 3})["hash"].lengths.tolist() == [0, 0, 0]


@st.composite
def batches(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    return {
        "text": draw(arrow.columns(rows, arrow.TYPES)),
        "number": draw(arrow.columns(rows, NUMBER_TYPES, integers)),
        "pair": draw(arrow.columns(rows, WEIGHTED_TYPES, pairs)),
        "number_pair": draw(arrow.columns(rows, (*NUMBER_TYPES, *NUMBER_MAPS), integers)),
    }


def integers(kind: pa.DataType) -> st.SearchStrategy:
    """Elements that num_buckets takes."""
    if kind != pa.string():
        return arrow.numbers(kind)
    few = st.sampled_from([b"7", b"+01", b"-0", b"00099", b"100", b"-9223372036854775808", b"9" * 40])
    return few | st.integers(-(2**70), 2**70).map(lambda number: b"%d" % number)


def pairs(kind: pa.DataType) -> st.SearchStrategy:
    """Elements that weighted features cut at a colon."""
    if kind != pa.string():
        return arrow.elements(kind)
    weights = st.sampled_from([b"", b":", b":0.5", b":-2e3", b":x", b":1:2", b":nan", b":1e-50"])
    return st.builds(bytes.__add__, arrow.texts | st.just(b""), weights | st.floats().map(lambda weight: b":%r" % weight))


@given(columns=batches())
@settings(max_examples=50)
def test_generated_batches_have_the_ids_and_weights_of_the_definition(compiled, columns):
    compiled.check(columns)


@given(columns=batches())
def test_generated_batches_have_the_farm_hashes_of_the_definition(farm, columns):
    farm.check(columns)


@given(rows=st.sampled_from(arrow.SIZES[1:]), kind=st.sampled_from([pa.string(), pa.list_(pa.string())]), data=st.data())
def test_generated_texts_are_refused_where_the_definition_refuses(compiled, rows, kind, data):
    column = data.draw(arrow.columns(rows, [kind], lambda _: integers(pa.string()) | arrow.texts))
    columns = cases.GOOD | {"number": column}
    if compiled.refuses(columns):
        compiled.check_refused(columns)
    else:
        compiled.check(columns)
