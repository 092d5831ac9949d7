"""Arrow columns for tests: built buffer by buffer, so that a text may hold any bytes and a null may hide values; and their strategies.

A *row* is None, an element, or a list of elements and Nones; an element of text is bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

Row = Any
BELOW_A_NULL = {True: b"nobody reads this \x1d 1", False: 77}  # by `is text`: what lies in the buffers where a value is null
SIZES = (0, 1, 2, 3, 63, 64, 65, 129)  # rows: around the 64 of a block


def _validity(rows: Sequence[Row]) -> pa.Buffer | None:
    valid = np.array([row is not None for row in rows], bool)
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def scalars(values: Sequence[Row], kind: pa.DataType) -> pa.Array:
    """A column of text (bytes of any kind) or numbers."""
    is_text = kind == pa.string()
    filled = [BELOW_A_NULL[is_text] if value is None else value for value in values]
    if not is_text:
        numbers = np.array(filled, kind.to_pandas_dtype())
        return pa.Array.from_buffers(kind, len(values), [_validity(values), pa.py_buffer(numbers)])
    offsets = np.cumsum([0, *map(len, filled)], dtype=np.int32)
    return pa.Array.from_buffers(kind, len(values), [_validity(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(filled))])


def _offsets(rows: Sequence[Row], below_a_null: Row) -> tuple[list, pa.Buffer]:
    filled = [below_a_null if row is None else row for row in rows]
    return [element for row in filled for element in row], pa.py_buffer(np.cumsum([0, *map(len, filled)], dtype=np.int32))


def lists(rows: Sequence[Row], kind: pa.DataType) -> pa.Array:
    """A column of lists, also of lists; its elements do not begin at the first of their own array."""
    below = [None] if pa.types.is_list(kind) else [None, BELOW_A_NULL[kind == pa.string()]]
    elements, offsets = _offsets(rows, below)
    values = column([None, None, None, *elements], kind).slice(3)
    return pa.Array.from_buffers(pa.list_(kind), len(rows), [_validity(rows), offsets], children=[values])


def maps(rows: Sequence[Row], key: pa.DataType, item: pa.DataType) -> pa.Array:
    """A column of maps; a row is a list of (key, value or None)."""
    entries, offsets = _offsets(rows, [(BELOW_A_NULL[key == pa.string()], BELOW_A_NULL[item == pa.string()])])
    kind = pa.map_(key, item)
    keys, items = scalars([k for k, _ in entries], key), scalars([v for _, v in entries], item)
    pairs = pa.StructArray.from_arrays([keys, items], fields=[kind.key_field, kind.item_field])
    return pa.Array.from_buffers(kind, len(rows), [_validity(rows), offsets], children=[pairs])


def column(rows: Sequence[Row], kind: pa.DataType) -> pa.Array:
    """The column of that type with these rows."""
    if pa.types.is_map(kind):
        return maps(rows, kind.key_type, kind.item_type)
    return lists(rows, kind.value_type) if pa.types.is_list(kind) else scalars(rows, kind)


# ---------------------------------------------------------------- strategies

NUMBERS = (pa.int32(), pa.int64(), pa.float32(), pa.float64())
SCALARS = (pa.string(), *NUMBERS)
TYPES = (*SCALARS, *(pa.list_(kind) for kind in SCALARS))
MAPS = tuple(pa.map_(key, item) for key in (pa.string(), pa.int32(), pa.int64()) for item in NUMBERS)

WORDS = (b"a", b"b", b"c", b"7", b"-3", b"a_b", b"a\0b", b"\0", "价格带".encode(), "é🙂".encode(), b"\xff\xfe\x80", b" ")
LONG = (63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 300)
texts = (
    st.sampled_from(WORDS)
    | st.binary(max_size=20)
    | st.builds(lambda length, first: bytes((first + k) % 256 for k in range(length)), st.sampled_from(LONG), st.integers(0, 255))
)


def joined(parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Texts that hold several parts and separators, which also stand at the ends and behind each other."""
    separators = st.sampled_from([b"|", b"\x1d", b"||", b"\x1d|"])
    ends = st.sampled_from([b"", b"", b"|", b"\x1d\x1d"])
    several = st.lists(st.tuples(parts, separators), min_size=1, max_size=4)
    return parts | st.builds(lambda first, pairs, last: first + b"".join(s + p for p, s in pairs) + last, ends, several, ends)


def numbers(kind: pa.DataType) -> st.SearchStrategy:
    """Numbers of that type, over its whole range."""
    if kind in (pa.int32(), pa.int64()):
        end = 2 ** (31 if kind == pa.int32() else 63)
        return st.integers(-20, 20) | st.sampled_from([-end, 1 - end, end - 1]) | st.integers(-end, end - 1)
    few = st.sampled_from([0.0, -0.0, 0.1, 1.0, -2.5, 3e38])
    return few | st.floats(width=32 if kind == pa.float32() else 64)


def elements(kind: pa.DataType) -> st.SearchStrategy:
    """Elements of a list of that type, or rows of a column without nulls."""
    return texts if kind == pa.string() else numbers(kind)


def rows_of(
    kind: pa.DataType, parts: Callable[[pa.DataType], st.SearchStrategy] = elements, size: int = 0
) -> st.SearchStrategy[Row]:
    """Rows of a column, nulls among them; `parts` gives the elements, `size` their number in a list if it is fixed."""
    if pa.types.is_map(kind):
        pairs = st.tuples(parts(kind.key_type), st.none() | numbers(kind.item_type))
        return st.none() | st.lists(pairs, max_size=4)
    if pa.types.is_list(kind):
        element = st.none() | parts(kind.value_type)
        return st.none() | st.just([]) | st.lists(element, min_size=size, max_size=size or 4)
    return st.none() | (joined(parts(kind)) | st.just(b"") if kind == pa.string() else parts(kind))


@st.composite
def columns(draw, rows: int, kinds: Sequence[pa.DataType], parts=elements, row_strategy=None) -> pa.Array:
    """A column of `rows` rows, or sometimes of one row for all: a few different rows, repeated, behind some that are sliced away."""
    kind = draw(st.sampled_from(kinds))
    strategy = row_strategy(kind) if row_strategy else rows_of(kind, parts)
    pool = draw(st.lists(strategy, min_size=1, max_size=8))
    before = draw(st.sampled_from([0, 0, 1, 9]))
    length = 1 if draw(st.integers(0, 5)) == 0 else rows
    step = draw(st.sampled_from([1, 3]))
    return column([pool[k * step % len(pool)] for k in range(before + length)], kind).slice(before)
