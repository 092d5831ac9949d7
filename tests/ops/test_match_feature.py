"""match_feature in compiled kernels: every form and column type, against the definition."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from cases import columns as arrow
from cases import match_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

from tvm_rank.errors import InputError

FIELDS = ("user", "category", "item")
NESTED = (pa.string(), pa.string(), pa.list_(pa.string()), pa.map_(pa.string(), pa.string()), pa.map_(pa.int64(), pa.string()))


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.fixture(scope="module")
def numbers() -> Compiled:
    return Compiled(cases.NUMBER_FEATURES, "farm")


@pytest.mark.parametrize("columns", **named(cases.COLUMNS))
def test_each_named_batch_has_the_values_of_the_definition(compiled, columns):
    compiled.check(dict(zip(FIELDS, columns, strict=True)))


def test_num_buckets_reads_the_bare_value_and_refuses_other_text_with_its_row(numbers):
    sides = {"category": pa.array(["c1", "c2", "c1"]), "item": pa.array(["a"])}
    numbers.check({"user": pa.array(["c1^a:+07|c2^a:99"]), **sides})
    numbers.check_refused({"user": pa.array(["c1^a:1", "c2^a:x", "c1^a:1"]), **sides})


@pytest.mark.parametrize("longest", [15, 16])
def test_a_row_with_a_map_of_its_own_and_one_short_category_and_item_has_the_value_of_the_definition(compiled, longest):
    rng = np.random.default_rng(longest)
    names = [b"a", b"a\0", b"b", b"12345678", b"123456789", b"0123456789abcdef"[:longest]]
    inner = [*names, b"x" * 16, b"x" * 300, b"y y", b"a ", b"a^b", b"a:b", b"", b"a|"]

    def text():
        def some(most):  # mostly of the usual form
            return [(inner if rng.random() < 0.05 else names)[rng.integers(0, len(names))] for _ in range(rng.integers(1, most))]

        return b"|".join(b"%s^%s" % (c, b",".join(b"%s:%d" % (i, rng.integers(0, 99)) for i in some(5))) for c in some(4))

    rows = 300
    sides = [[(b"" if rng.random() < 0.1 else names[rng.integers(0, len(names))]) for _ in range(rows)] for _ in range(2)]
    columns = [arrow.column(side, pa.string()) for side in ([text() for _ in range(rows)], *sides)]
    compiled.check(dict(zip(FIELDS, columns, strict=True)))
    compiled.check({name: column.slice(10, 99) for name, column in zip(FIELDS, columns, strict=True)})
    compiled.check(dict(zip(FIELDS, [arrow.column([None, b"", b"a^a:1"] * 100, pa.string()), *columns[1:]], strict=True)))
    absent = pc.if_else(pa.array(rng.random(rows) < 0.3), None, pa.array(["a"] * rows))  # below a null lies no text
    compiled.check(dict(zip(FIELDS, [columns[0], absent, columns[2]], strict=True)))


@pytest.mark.parametrize("kind", [pa.int64(), pa.list_(pa.int64()), pa.map_(pa.string(), pa.int64())])
def test_a_column_that_is_no_nested_map_is_refused_by_name(numbers, kind):
    with pytest.raises(InputError, match=r"column 'user'"):
        numbers.program({"user": pa.array([None], kind), "category": ["a"], "item": ["b"]})


keys = st.sampled_from([b"1", b"2", b"-3", b"a", b"12345678", b"123456789", b"x" * 70, b"y" * 70, b"ALL"])
blanks = st.sampled_from([b"", b"", b"", b" ", b"\t"])
values = st.sampled_from([b"1", b"-2.5", b"x", b"nan", b"1e-50", b"7 7"])
items = st.builds(b"%s%s:%s%s".__mod__, st.tuples(blanks, keys, values, blanks))
lists_of_items = st.lists(items, max_size=8).map(b",".join)
groups = st.builds(b"%s%s^%s".__mod__, st.tuples(blanks, keys, st.lists(items, min_size=1, max_size=8).map(b",".join)))
broken = st.sampled_from([b"a", b"a^", b"^a:1", b"a^b", b"a^b:1:2", b"a^b:1^c"])


def nested_rows(kind: pa.DataType) -> st.SearchStrategy:
    """Rows of a column of nested maps, seldom malformed."""
    if pa.types.is_map(kind):
        outer = keys if kind.key_type == pa.string() else st.sampled_from([1, 2, -3])
        return st.none() | st.lists(st.tuples(outer, st.none() | lists_of_items), max_size=6)
    texts = st.lists(groups, max_size=6).map(b"|".join)
    texts = texts | st.builds(b"%s|%s".__mod__, st.tuples(texts, broken)) if kind == pa.string() else texts
    return st.none() | (st.lists(st.none() | texts, max_size=3) if pa.types.is_list(kind) else texts)


def sides(kind: pa.DataType) -> st.SearchStrategy:
    """Categories and items."""
    return keys if kind == pa.string() else st.sampled_from([1, 2, -3, 12345678])


@st.composite
def batches(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    kinds = (pa.string(), pa.list_(pa.string()), pa.int64(), pa.list_(pa.int32()))
    user = draw(arrow.columns(rows, NESTED, row_strategy=nested_rows))
    return {"user": user, **{name: draw(arrow.columns(rows, kinds, sides)) for name in FIELDS[1:]}}


@given(columns=batches())
@settings(max_examples=60)
def test_generated_batches_have_the_values_of_the_definition(compiled, columns):
    compiled.check(columns)
