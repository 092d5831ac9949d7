"""Arrow data whose offsets lead elsewhere: an InputError, never a crash or a read outside of the buffers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import small_model
from hypothesis import given
from hypothesis import strategies as st

import tvm_rank
from tvm_rank.errors import InputError

N = small_model.ITEMS
BAD_OFFSETS = {
    "far-beyond": lambda offsets: _put(offsets, N // 2, 2**30),
    "just-beyond": lambda offsets: _put(offsets, N // 2, offsets[-1] + 1),
    "negative": lambda offsets: _put(offsets, N // 2, -5),
    "backwards": lambda offsets: _put(offsets, N // 2, offsets[N // 2 + 1] + 3),
    "first-of-all": lambda offsets: _put(offsets, 1, 2**31 - 1),
    "last-but-one": lambda offsets: _put(offsets, N - 1, -(2**31)),
}
FORMS = {
    "columns": dict,
    "table": pa.table,
    "chunks": lambda columns: pa.table({n: pa.chunked_array([c.slice(0, 2), c.slice(2)]) for n, c in columns.items()}),
}


def _put(offsets: np.ndarray, place: int, value: int) -> np.ndarray:
    changed = offsets.copy()
    changed[place] = value
    return changed


def texts(offsets: np.ndarray, data: bytes) -> pa.Array:
    """A string array of these offsets, which pyarrow checks at both ends only."""
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


def lists(offsets: np.ndarray, child: pa.Array) -> pa.Array:
    """A list array of these offsets."""
    return pa.Array.from_buffers(
        pa.list_(child.type), len(offsets) - 1, [None, pa.py_buffer(offsets.astype(np.int32))], children=[child]
    )


GOOD = np.arange(N + 1) * 2
CHILD = pa.array([f"t{k}" for k in range(2 * N)])
NUMBERS = pa.array(np.ones(2 * N, np.float32))


def damaged(kind: str, offsets: np.ndarray) -> dict[str, pa.Array]:
    """An item column of that kind with these offsets."""
    if kind == "text":
        return {"item_id": texts(offsets, b"x" * (2 * N))}
    if kind == "list":
        return {"tags": lists(offsets, CHILD)}
    if kind == "list-of-integers":
        return {"tags": lists(offsets, pa.array(np.arange(2 * N)))}
    if kind == "list-of-floats":  # read as text, after a cast by Arrow
        return {"level": lists(offsets, NUMBERS)}
    if kind == "list-for-a-number":  # one value a row is asked for, so these are refused also when they are not damaged
        return {"price": lists(offsets, NUMBERS)}
    child = texts(offsets, b"y" * (2 * N))  # the texts inside of lists of one
    return {"tags": lists(np.arange(N + 1), child)}


KINDS = ["text", "list", "list-of-integers", "list-of-floats", "text-in-list", "list-for-a-number"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arrays_with_good_offsets_are_read(engine: tvm_rank.Engine, kind: str):
    items = small_model.items() | damaged(kind, GOOD if kind != "list-for-a-number" else np.arange(N + 1))
    assert engine.rank(user=small_model.user(), items=items)["score"].shape == (N, 1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", BAD_OFFSETS)
def test_offsets_that_lead_elsewhere_are_refused(engine: tvm_rank.Engine, damage: str, kind: str, form: str):
    column = damaged(kind, BAD_OFFSETS[damage](GOOD))
    with pytest.raises(InputError, match=f"{next(iter(column))}|items"):
        engine.rank(user=FORMS["columns"](small_model.user()), items=FORMS[form](small_model.items() | column))


@pytest.mark.parametrize("form", ["columns", "table"])
def test_damaged_user_columns_are_refused(engine: tvm_rank.Engine, form: str):
    users = small_model.user(4)
    users["city"] = texts(np.array([0, 1, 2**30, 3, 4]), b"abcd")
    with pytest.raises(InputError, match=r"column 'city': its offsets lead outside of its buffers|user: the Arrow data is damaged"):
        engine.rank(user=FORMS[form](users), items=FORMS[form](small_model.items()), item_request=np.zeros(N, int))


@pytest.mark.parametrize("name", ["price", "level"])
def test_a_buffer_that_is_shorter_than_its_column_is_refused(engine: tvm_rank.Engine, name: str):
    table = truncated(small_model.items(), name)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    with pytest.raises(InputError, match="the Arrow data is damaged"):
        engine.rank(user=pa.table(small_model.user()), items=table)
    with pytest.raises(InputError, match=f"item.*{name}.*the Arrow data is damaged"):
        engine.rank(user=small_model.user(), items=columns)
    with pytest.raises(InputError, match=f"item.*{name}.*the Arrow data is damaged"):
        engine.rank(user=small_model.user(), items=columns | {name: columns[name].chunk(0)})


def truncated(columns: dict[str, pa.Array], name: str) -> pa.Table:
    """The columns as a damaged IPC stream gives them: pyarrow does not compare a length with its buffer when it reads one."""
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_pydict(columns)
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = bytearray(sink.getvalue().to_pybytes())
    # the size of the column's buffer in the batch's metadata: 8 bytes, little-endian
    size = columns[name].buffers()[1].size
    place = data.index(size.to_bytes(8, "little"))
    data[place : place + 8] = (8).to_bytes(8, "little")
    table = pa.ipc.open_stream(pa.py_buffer(bytes(data))).read_all()
    assert table.column(name).chunk(0).buffers()[1].size == 8
    return table


OFFSET = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 2 * N + 2)


@given(offsets=st.lists(OFFSET, min_size=N - 1, max_size=N - 1), ordered=st.booleans(), kind=st.sampled_from(KINDS))
def test_any_offsets_are_scored_or_refused(engine: tvm_rank.Engine, offsets: list[int], ordered: bool, kind: str):
    if ordered:
        offsets = sorted(min(max(offset, 0), 2 * N) for offset in offsets)
    inside = np.array([0, *offsets, 2 * N])
    items = small_model.items() | damaged(kind, inside)
    for form in ("columns", "table"):
        try:
            assert engine.rank(user=FORMS[form](small_model.user()), items=FORMS[form](items))["score"].shape == (N, 1)
        except InputError:
            assert kind == "list-for-a-number" or not ordered
