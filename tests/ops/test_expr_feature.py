"""expr_feature in compiled kernels: random formulas, all column types, numbers and vectors, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import expr_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

OPTIMIZED = True  # see tests/conftest.py

LENGTHS = (1, 1, 2, 3, 70)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.fixture(scope="module")
def dense() -> Compiled:
    return Compiled(cases.DENSE, "farm")


@pytest.mark.parametrize("columns", **named(cases.ELEMENT_COLUMNS))
def test_each_named_batch_has_the_numbers_of_the_definition(compiled, columns):
    compiled.check(cases.GOOD | dict(zip(cases.ELEMENTS, columns, strict=True)))


@pytest.mark.parametrize("columns", **named(cases.VECTOR_COLUMNS))
def test_each_named_batch_of_vectors_has_the_numbers_of_the_definition(compiled, columns):
    compiled.check(cases.GOOD | dict(zip((*cases.VECTORS, "s"), columns, strict=True)))


@pytest.mark.parametrize("columns", **named(cases.REFUSED))
def test_variables_that_do_not_fit_are_refused_with_their_feature_and_row(compiled, columns):
    columns = cases.GOOD | columns
    assert compiled.refuses(columns)
    compiled.check_refused(columns)


def texts(kind: pa.DataType) -> st.SearchStrategy[bytes]:
    """One value of a text column; never empty, never two."""
    numbers = st.floats().map(repr) | st.integers(-50, 50).map(str) | st.sampled_from(["x", "1e", "-", "\xff"])
    return numbers.map(str.encode) if kind == pa.string() else arrow.numbers(kind)


@st.composite
def variables(draw, lengths: list[int], always_one: bool = False) -> pa.Array:
    """A column that has, in each row, nothing, one value, or the given number of them."""
    kind = draw(st.sampled_from(arrow.SCALARS if always_one else arrow.TYPES))
    is_list, is_text = pa.types.is_list(kind), kind == pa.string()
    pool = draw(st.lists(texts(kind.value_type if is_list else kind), min_size=1, max_size=8))
    counts = draw(st.lists(st.integers(0, 3), min_size=1, max_size=8))
    rows = []
    for row, length in enumerate(lengths):
        many = is_list or (is_text and not always_one)
        count = (0, 1, length, length)[counts[row % len(counts)]] if many else min(1, counts[row % len(counts)])
        values = [pool[(row + k) % len(pool)] for k in range(count)]
        rows.append(values if is_list else b"|".join(values) if is_text else values[0] if values else None)
    return arrow.column(rows, kind)


@st.composite
def sharing(draw, lengths: list[int], always_one: bool = False) -> pa.Array:
    """As `variables`, or a column of one row, of one value, that serves all."""
    return draw(variables(draw(st.sampled_from([lengths, lengths, [1]])), always_one))


@st.composite
def batches(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    few = draw(st.lists(st.sampled_from(LENGTHS), min_size=1, max_size=5))
    lengths = [few[row % len(few)] for row in range(rows)]
    several = {name: draw(sharing(lengths)) for name in (*cases.ELEMENTS, *cases.VECTORS)}
    return several | {"s": draw(variables(lengths, always_one=True))}


@given(columns=batches())
@settings(max_examples=25)
def test_generated_batches_have_the_bits_of_the_definition(compiled, columns):
    compiled.check(columns)


@st.composite
def single_numbers(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    first, *others = cases.ELEMENTS if draw(st.booleans()) else reversed(cases.ELEMENTS)
    whole = draw(variables([1] * rows, always_one=draw(st.booleans())))
    return {first: whole} | {name: draw(sharing([1] * rows, always_one=draw(st.booleans()))) for name in others}


@pytest.mark.parametrize(
    "shared", [pa.array(["1"]), pa.array([1.0]), pa.array(["x"]), pa.array([None], pa.string()), pa.array([["1"]])]
)
@pytest.mark.parametrize("at", [0, 1, 9, 69])
@pytest.mark.parametrize("others", [pa.float32(), pa.string()])
def test_a_row_without_one_number_is_missing_next_to_a_row_that_serves_all(dense, shared: pa.Array, at: int, others: pa.DataType):
    """Whichever of the variables comes first, and wherever the row is in its block: first, in the middle, in the next one."""
    rows = [None if row == at else row for row in range(70)]
    column = pa.array(rows if others != pa.string() else [None if row is None else str(row) for row in rows], others)
    for one in cases.ELEMENTS:
        dense.check({name: shared if name == one else column for name in cases.ELEMENTS})
        dense.check({name: column if name == one else shared for name in cases.ELEMENTS})


@given(columns=single_numbers())
@settings(max_examples=40)
def test_generated_numbers_have_the_numbers_of_the_definition(dense, columns):
    dense.check(columns)


@given(rows=st.sampled_from(arrow.SIZES[1:]), data=st.data())
@settings(max_examples=10)
def test_generated_rows_are_refused_where_the_definition_refuses(compiled, rows, data):
    columns = {name: data.draw(arrow.columns(rows, arrow.TYPES, texts)) for name in cases.GOOD}
    if compiled.refuses(columns):
        compiled.check_refused(columns)
    else:
        compiled.check(columns)
