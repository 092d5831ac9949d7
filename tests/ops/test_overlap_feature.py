"""overlap_feature in compiled kernels: every method, all column types, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import overlap_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

from te_schedules.feature.overlap_terms import FEW_BYTES, FEW_TERMS


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.mark.parametrize("columns", **named(cases.COLUMNS))
def test_each_named_batch_has_the_numbers_of_the_definition(compiled, columns):
    compiled.check(dict(zip(("query", "title"), columns, strict=True)))


def terms(kind: pa.DataType) -> st.SearchStrategy:
    """Few different terms, so that query and title have some in common."""
    if kind == pa.string():
        return st.sampled_from([b"1", b"2", b"3", b"11", b"-1", b"12345678", b"12345679", b"\0", b"\xff", b"x" * 65])
    return st.sampled_from([1, 2, 3, 11, -1, 12345678, 12345679])


def many_terms(kind: pa.DataType) -> st.SearchStrategy:
    """Rows of up to seven terms."""
    if pa.types.is_list(kind):
        return st.none() | st.lists(st.none() | terms(kind.value_type), max_size=7)
    if kind != pa.string():
        return st.none() | terms(kind)
    return st.none() | st.lists(terms(kind) | st.just(b""), max_size=7).map(b"|".join)


@st.composite
def batches(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    return {side: draw(arrow.columns(rows, arrow.TYPES, row_strategy=many_terms)) for side in ("query", "title")}


def test_rows_of_few_and_of_many_terms_have_the_same_ratios():
    keys = {"feature_type": "overlap_feature", "query": "item:query", "title": "item:title", "separator": "|"}
    ratios = Compiled({name: keys | {"method": f"{name}_common_ratio"} for name in ("query", "title")})
    counts = [(a, b) for a in (1, FEW_TERMS, FEW_TERMS + 1, 3 * FEW_TERMS) for b in (2, FEW_TERMS, FEW_TERMS + 1)]
    sides = [[[b"%d" % (k * step % 97) for k in range(pair[side])] for pair in counts] for side, step in ((0, 1), (1, 3))]
    long_terms = [[b"x" * FEW_BYTES, b"y"], [b"x" * FEW_BYTES, b"y" * 9, b"z"]]
    query, title = ([*rows, *long_terms] for rows in (sides[0], sides[1]))
    lists, text = pa.list_(pa.string()), pa.string()
    for kind in (lists, text):
        made = (rows if kind is lists else [b"|".join(row) for row in rows] for rows in (query, title))
        ratios.check(dict(zip(("query", "title"), (arrow.column(rows, kind) for rows in made), strict=True)))


@given(columns=batches())
@settings(max_examples=80)
def test_generated_batches_have_the_numbers_of_the_definition(compiled, columns):
    compiled.check(columns)
