"""What `Engine.rank` is given: every form of a column gives the same scores, and what does not fit is refused by name.

Tables go through a quicker way than dicts of columns, so each case is tried in both forms.
"""

from __future__ import annotations

import contextlib
import gc
import weakref
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import small_model

import tvm_rank
from tvm_rank.errors import InputError
from tvm_rank.runtime import record_batch, row_map

N = small_model.ITEMS
FORMS = {"columns": dict, "table": pa.table, "batch": lambda columns: pa.RecordBatch.from_pydict(columns)}


def as_numpy(columns: dict[str, pa.Array]) -> dict[str, Any]:
    """The columns as NumPy arrays, lists as arrays of objects."""
    return {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}


def as_lists(columns: dict[str, pa.Array]) -> dict[str, Any]:
    """The columns as Python lists."""
    return {name: column.to_pylist() for name, column in columns.items()}


def as_slices(columns: dict[str, pa.Array]) -> dict[str, Any]:
    """The columns as slices of longer ones, at odd offsets, with a null before and behind."""
    return {name: pa.concat_arrays([pa.nulls(3, c.type), c, pa.nulls(2, c.type)]).slice(3, len(c)) for name, c in columns.items()}


def as_chunks(columns: dict[str, pa.Array]) -> dict[str, Any]:
    """The columns in two chunks, the first of them empty for a single row."""
    return {name: pa.chunked_array([c.slice(0, len(c) // 2), c.slice(len(c) // 2)]) for name, c in columns.items()}


@pytest.fixture(scope="module")
def expected(engine: tvm_rank.Engine) -> np.ndarray:
    """The scores of the valid columns, (ITEMS, 1)."""
    scores = engine.rank(user=small_model.user(), items=small_model.items())["score"]
    assert scores.shape == (N, 1)
    assert np.unique(scores).size > N // 2
    return scores


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Any:
    """A function that makes of columns what `rank` takes."""
    return FORMS[request.param]


def test_tables_of_these_columns_go_the_quick_way_and_floats_as_text_do_not(engine: tvm_rank.Engine):
    user, items = pa.table(small_model.user()), pa.table(small_model.items())
    fields = engine.manifest.item_fields
    assert record_batch.plan(fields, user.schema, items.schema, mapped=False) is not None
    assert (
        record_batch.plan(fields, user.schema, pa.table(small_model.items() | {"level": items["price"]}).schema, mapped=False)
        is None
    )


@pytest.mark.parametrize("convert", [as_numpy, as_lists, as_slices, as_chunks], ids=lambda f: f.__name__)
def test_every_form_of_a_column_gives_the_same_scores(engine: tvm_rank.Engine, expected: np.ndarray, convert: Any):
    user, items = convert(small_model.user()), convert(small_model.items())
    assert np.array_equal(engine.rank(user=user, items=items)["score"], expected)


@pytest.mark.parametrize("convert", [as_slices, as_chunks], ids=lambda f: f.__name__)
def test_slices_and_chunks_of_tables_give_the_same_scores(engine: tvm_rank.Engine, expected: np.ndarray, convert: Any):
    user, items = pa.table(convert(small_model.user())), pa.table(convert(small_model.items()))
    assert np.array_equal(engine.rank(user=user, items=items)["score"], expected)


def test_a_slice_of_a_table_scores_its_own_rows(engine: tvm_rank.Engine, expected: np.ndarray, form: Any):
    whole = pa.table(small_model.items())
    for first, count in ((0, 1), (5, 8), (N - 3, 3)):
        part = whole.slice(first, count)
        items = part if form is pa.table else form({name: part.column(name).combine_chunks() for name in part.column_names})
        assert np.array_equal(engine.rank(user=form(small_model.user()), items=items)["score"], expected[first : first + count])


def test_a_sliced_map_is_read_at_its_own_rows(engine: tvm_rank.Engine):
    kind = pa.map_(pa.string(), pa.float64())
    maps = pa.array([[("x", 9.0)], [("a0", 0.0), ("b", 0.5)], None, [("y", 1.0)]], kind)
    one = engine.rank(user=small_model.user() | {"affinity": maps.slice(1, 1)}, items=small_model.items())["score"]
    text = engine.rank(user=small_model.user() | {"affinity": [["a0:0.0", "b:0.5"]]}, items=small_model.items())["score"]
    none = engine.rank(user=small_model.user() | {"affinity": maps.slice(2, 1)}, items=small_model.items())["score"]
    assert np.array_equal(one, text)
    assert not np.array_equal(none, text)


def test_many_user_rows_score_as_one_request_each(engine: tvm_rank.Engine, form: Any):
    users = small_model.user(3)
    index = np.arange(N) % 3
    together = engine.rank(user=form(users), items=form(small_model.items()), item_request=index)["score"]
    for row in range(3):
        alone = engine.rank(user=form({k: c.slice(row, 1) for k, c in users.items()}), items=form(small_model.items()))["score"]
        assert np.allclose(together[index == row], alone[index == row], atol=1e-6)
    for other in (index.tolist(), pa.array(index), index.astype(np.uint64), index.astype(np.int8)):
        again = engine.rank(user=form(users), items=form(small_model.items()), item_request=other)["score"]
        assert np.array_equal(again, together)


def test_one_row_serves_all_rows(engine: tvm_rank.Engine):
    items = small_model.items()
    repeated = engine.rank(user=small_model.user(), items=items | {"tags": pa.array([["t1", "t2"]] * N)})["score"]
    once = engine.rank(user=small_model.user(), items=items | {"tags": [["t1", "t2"]]})["score"]
    assert np.array_equal(once, repeated)


def test_no_items_give_no_scores(engine: tvm_rank.Engine, form: Any):
    empty = {name: column.slice(0, 0) for name, column in small_model.items().items()}
    assert engine.rank(user=form(small_model.user()), items=form(empty))["score"].shape == (0, 1)
    many = engine.rank(user=form(small_model.user(2)), items=form(empty), item_request=np.zeros(0, np.int64))
    assert many["score"].dtype == np.float32


REFUSED_ITEMS = {
    "bool": (pa.array([True] * N), "item_id.*bool"),
    "int8": (pa.array([1] * N, pa.int8()), "item_id.*int8"),
    "uint64": (pa.array([1] * N, pa.uint64()), "item_id.*uint64"),
    "dictionary": (pa.array(["a"] * N).dictionary_encode(), "item_id.*dictionary"),
    "large-string": (pa.array(["a"] * N, pa.large_string()), "item_id.*large_string"),
    "binary": (pa.array([b"a"] * N), "item_id.*binary"),
    "timestamp": (pa.array([0] * N, pa.timestamp("s")), "item_id.*timestamp"),
    "decimal": (pa.array([None] * N, pa.decimal128(5, 2)), "item_id.*decimal"),
    "struct": (pa.array([{"a": 1}] * N), "item_id.*struct"),
    "large-list": (pa.array([["a"]] * N, pa.large_list(pa.string())), "item_id.*large_list"),
    "list-of-lists": (pa.array([[["a"]]] * N), "item_id.*list<item: list"),
    "list-of-bools": (pa.array([[True]] * N), "item_id.*bool"),
    "map": (pa.array([[("a", 1.0)]] * N, pa.map_(pa.string(), pa.float64())), "item_id.*map column"),
    "too-few": (pa.array(["a"] * (N - 1)), f"items: {N - 1} rows, but 'tags' has {N}, 'level' has {N}"),
    "too-many": (pa.array(["a"] * (N + 1)), f"items: {N + 1} rows, but 'tags' has {N}"),
    "none": (pa.array([], pa.string()), f"items: 0 rows, but 'tags' has {N}"),
    "mixed-list": (["a", 1, *["b"] * (N - 2)], "item_id.*cannot be read"),
    "mixed-nesting": ([["a"], "b", *[["c"]] * (N - 2)], "item_id.*cannot be read"),
    "number": (5, "item_id.*cannot be read|item_id.*got int"),
    "text": ("a" * N, "item_id.*got str"),
    "bytes": (b"a" * N, "item_id.*got bytes"),
    "dict": ({str(k): 1 for k in range(N)}, "item_id.*got dict"),
    "set": ({str(k) for k in range(N)}, "item_id.*got set"),
    "none-value": (None, "item_id"),
    "huge-integer": ([2**70] * N, "item_id.*cannot be read"),
    "0-d": (np.array(3), "item_id"),
    "3-d": (np.zeros((N, 2, 2)), "item_id.*3 dimensions"),
    "2-d-objects": (np.array([[object(), object()]] * N, object), "item_id.*cannot be read"),
    "complex": (np.zeros(N, np.complex128), "item_id.*cannot be read"),
    "records": (np.zeros(N, [("a", "i4")]), "item_id"),
}


@pytest.mark.parametrize("column", REFUSED_ITEMS)
def test_a_column_that_does_not_fit_is_refused_by_name(engine: tvm_rank.Engine, column: str):
    value, match = REFUSED_ITEMS[column]
    with pytest.raises(InputError, match=match):
        engine.rank(user=small_model.user(), items=small_model.items() | {"item_id": value})


TABLES = ["bool", "int8", "uint64", "dictionary", "large-string", "binary", "struct", "large-list", "list-of-lists", "map"]


@pytest.mark.parametrize("column", TABLES)
def test_a_column_of_a_table_that_does_not_fit_is_refused_by_name(engine: tvm_rank.Engine, column: str):
    value, match = REFUSED_ITEMS[column]
    with pytest.raises(InputError, match=match):
        engine.rank(user=pa.table(small_model.user()), items=pa.table(small_model.items() | {"item_id": value}))


def test_a_list_of_mixed_object_rows_is_read_row_by_row(engine: tvm_rank.Engine):
    rows = np.empty((N, 2), object)
    rows[:] = [["t1", "t2"]]
    matrix = engine.rank(user=small_model.user(), items=small_model.items() | {"tags": rows})["score"]
    lists = engine.rank(user=small_model.user(), items=small_model.items() | {"tags": [["t1", "t2"]] * N})["score"]
    assert np.array_equal(matrix, lists)


def test_a_missing_column_is_named_with_those_that_are_near(engine: tvm_rank.Engine, form: Any):
    items = small_model.items()
    items["item_idd"] = items.pop("item_id")
    with pytest.raises(InputError, match="items: column 'item_id' is missing; did you mean 'item_idd'"):
        engine.rank(user=form(small_model.user()), items=form(items))
    with pytest.raises(InputError, match="user: column 'hour' is missing"):
        engine.rank(user=form({k: v for k, v in small_model.user().items() if k != "hour"}), items=form(small_model.items()))


def test_missing_tables_are_named_with_their_columns(engine: tvm_rank.Engine):
    with pytest.raises(InputError, match="user: not given; it needs the columns city, hour, affinity"):
        engine.rank(items=small_model.items())
    with pytest.raises(InputError, match="items: not given; it needs the columns item_id"):
        engine.rank(user=small_model.user())
    with pytest.raises(InputError, match="items: got list"):
        engine.rank(user=small_model.user(), items=[1, 2])


def test_a_user_table_without_rows_is_refused(engine: tvm_rank.Engine, form: Any):
    empty = {name: column.slice(0, 0) for name, column in small_model.user().items()}
    with pytest.raises(InputError, match="user: has no rows"):
        engine.rank(user=form(empty), items=form(small_model.items()))


def test_item_ids_need_an_item_store(engine: tvm_rank.Engine):
    with pytest.raises(tvm_rank.RankError, match="item_ids: this artifact has no item store"):
        engine.rank(user=small_model.user(), item_ids=["a"])


BAD_REQUESTS = {
    "missing": (None, "item_request: not given, and user has 3 rows"),
    "too-short": (np.zeros(N - 1, int), f"wanted {N} integers"),
    "2-d": (np.zeros((N, 1), int), f"wanted {N} integers"),
    "float": (np.zeros(N), "got float64"),
    "bool": (np.zeros(N, bool), "got bool"),
    "text": (["0"] * N, "wanted"),
    "nulls": (pa.array([0, None] + [0] * (N - 2)), "wanted"),
    "ragged": ([[0], [0, 1]], "item_request"),
    "negative": (np.full(N, -1), "leads to user rows -1 to -1; user has 3 rows"),
    "beyond": (np.full(N, 3), "leads to user rows 3 to 3; user has 3 rows"),
    "far-beyond": (np.full(N, 2**63, np.uint64), "user has 3 rows"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_an_item_request_that_does_not_fit_is_refused(engine: tvm_rank.Engine, form: Any, case: str):
    value, match = BAD_REQUESTS[case]
    with pytest.raises(InputError, match=match):
        engine.rank(user=form(small_model.user(3)), items=form(small_model.items()), item_request=value)


def test_text_that_is_no_integer_names_the_feature_and_the_row(engine: tvm_rank.Engine, form: Any):
    users = small_model.user(3) | {"hour": pa.array(["1", "2", "noon"])}
    with pytest.raises(InputError, match="feature 'hour', row 2: num_buckets wants integers"):
        engine.rank(user=form(users), items=form(small_model.items()), item_request=np.zeros(N, int))


def test_lists_for_a_number_name_the_feature_and_the_row(engine: tvm_rank.Engine, form: Any):
    prices = pa.array([[1.0]] * 4 + [[1.0, 2.0]] + [[1.0]] * (N - 5), pa.list_(pa.float32()))
    with pytest.raises(InputError, match="feature 'price', row 4: wants 1 value a row"):
        engine.rank(user=form(small_model.user()), items=form(small_model.items() | {"price": prices}))


def test_an_engine_that_refused_goes_on_working(engine: tvm_rank.Engine, expected: np.ndarray, form: Any):
    with pytest.raises(InputError):
        engine.rank(user=form(small_model.user() | {"hour": pa.array(["noon"])}), items=form(small_model.items()))
    assert np.array_equal(engine.rank(user=form(small_model.user()), items=form(small_model.items()))["score"], expected)


class _Watched(np.ndarray):
    """An array that can be referred to weakly."""


def _with_watched(columns: dict[str, pa.Array], name: str) -> tuple[dict[str, pa.Array], weakref.ref]:
    """The columns, one of them with a copy of its values that is asked for when it goes."""
    column = columns[name]
    *others, last = column.buffers()
    memory = np.frombuffer(last, np.uint8).copy().view(_Watched)
    return columns | {name: pa.Array.from_buffers(column.type, len(column), [*others, pa.py_buffer(memory)])}, weakref.ref(memory)


@pytest.mark.parametrize("refused", ["", "user", "items"])
def test_the_columns_of_a_request_are_let_go_of(engine: tvm_rank.Engine, form: Any, refused: str):
    user, of_user = _with_watched(small_model.user() | ({"hour": pa.array(["noon"])} if refused == "user" else {}), "hour")
    items, of_items = _with_watched(small_model.items(), "level")
    if refused == "items":
        items["price"] = pa.array([[1.0, 2.0]] * N, pa.list_(pa.float32()))
    with pytest.raises(InputError) if refused else contextlib.nullcontext():
        engine.rank(user=form(user), items=form(items))
    del user, items
    gc.collect()
    assert of_user() is None
    assert of_items() is None


def test_requests_of_more_sizes_than_are_kept_give_the_scores_of_their_items(engine: tvm_rank.Engine, expected: np.ndarray):
    user, items = pa.table(small_model.user()), pa.table(small_model.items())
    sizes = [*range(1, N + 1), 3, N, 1]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(row_map, "MOST_SIZES", 4)
        for size in sizes:
            assert np.array_equal(engine.rank(user=user, items=items.slice(0, size))["score"], expected[:size])
