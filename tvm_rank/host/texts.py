"""A column as the texts that a library is called with, each different one once, and back to a column.

    column, one text a row     ["red", null, "red", ""]     texts ["red"]            results -> one value a row, or a list of one
    column of lists            [["a", "b"], [], ["b"]]      texts ["a", "b"]         results -> lists of the same lengths
    sequence, elements "a;b"   ["a;b", null]                texts ["a", "b", ...]    results -> lists of elements

Null and "" are missing: the library never sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.errors import InputError

Convert = Callable[[pa.StringArray], pa.Array]
_NUMBERS = (pa.int32(), pa.int64(), pa.float32(), pa.float64())


@dataclass(frozen=True)
class Texts:
    """The texts of a column: `flat`, null where missing, and how they lie in rows (`offsets`; None: one a row)."""

    flat: pa.StringArray
    offsets: pa.Int32Array | None

    def rewrapped(self, values: pa.Array, *, as_lists: bool) -> pa.Array:
        """A column of the same rows from one value for each text; `as_lists` also makes a list of the one value of a row."""
        if self.offsets is not None:
            return pa.ListArray.from_arrays(self.offsets, values)
        return pa.ListArray.from_arrays(_offsets_to(len(values)), values) if as_lists else values


def _offsets_to(count: int) -> pa.Int32Array:
    return pa.array(np.arange(count + 1, dtype=np.int32))


def read_texts(column: pa.Array, where: str, splitting: str = "") -> Texts:
    """The texts of a column of strings or numbers, or of lists of them. `splitting`: characters that split a text into several.

    Raises InputError for other types and for damaged Arrow data; `where` names the column in the message.
    """
    kind = column.type
    is_list = pa.types.is_list(kind)
    element = kind.value_type if is_list else kind
    if element not in (pa.string(), *_NUMBERS):
        raise InputError(
            f"{where}: unsupported type {kind}; wanted string, int32, int64, float32, float64, or a list of one of them"
        )
    _check_offsets(column, where)
    if is_list:
        return Texts(with_missing(_as_text(column.flatten())), _list_offsets(column))
    if splitting and element == pa.string():
        parts = split(column, splitting)
        return Texts(with_missing(parts.flatten()), _list_offsets(parts))
    return Texts(with_missing(_as_text(column)), None)


def _check_offsets(column: pa.Array, where: str) -> None:
    """Raise InputError when offsets lead outside of the buffers: Arrow's functions follow them without looking."""
    try:
        _as_bytes(column).validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: the Arrow data is damaged ({error})") from error


def _as_bytes(values: pa.Array) -> pa.Array:
    """Texts, also in lists, as bytes of any kind, since whether they are UTF-8 is another question."""
    if pa.types.is_list(values.type):
        inner = _as_bytes(values.values)
        return pa.Array.from_buffers(
            pa.list_(inner.type), len(values), values.buffers()[:2], offset=values.offset, children=[inner]
        )
    if values.type != pa.string():
        return values
    return pa.Array.from_buffers(pa.binary(), len(values), values.buffers(), offset=values.offset)


def split(column: pa.StringArray, characters: str) -> pa.ListArray:
    """The parts of each text between any of these ASCII characters; null for a null or an empty text."""
    for character in characters[1:]:
        column = pc.replace_substring(column, pattern=character, replacement=characters[0])
    return pc.split_pattern(with_missing(column), pattern=characters[0])


def elements_of(column: pa.Array, where: str, delimiter: str, length: int) -> tuple[pa.Array, pa.Int32Array]:
    """(elements, offsets) of the sequences of a column: the parts of texts, the elements of lists, or numbers themselves.

    The first `length` are kept (0: all). A row without any has one null element. Raises InputError for damaged Arrow data.
    """
    _check_offsets(column, where)
    if column.type == pa.string():
        column = pc.split_pattern(with_missing(column), pattern=delimiter)
    elif not pa.types.is_list(column.type):
        column = pa.ListArray.from_arrays(_offsets_to(len(column)), column)
    begins = _list_offsets(column).to_numpy()[:-1]
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    kept = np.minimum(counts, length) if length else counts
    offsets = np.concatenate([[0], np.cumsum(np.maximum(kept, 1))]).astype(np.int32)
    rows = np.repeat(np.arange(len(column)), np.maximum(kept, 1))
    places = begins[rows] + (np.arange(offsets[-1]) - offsets[rows])
    return column.flatten().take(pa.array(places, pa.int64(), mask=kept[rows] == 0)), pa.array(offsets)


def _as_text(flat: pa.Array) -> pa.StringArray:
    return flat if flat.type == pa.string() else flat.cast(pa.string())


def with_missing(flat: pa.StringArray) -> pa.StringArray:
    """The texts with empty ones as nulls."""
    empty = pc.equal(pc.binary_length(flat), 0)
    return pc.if_else(empty, pa.scalar(None, pa.string()), flat) if pc.any(empty).as_py() else flat


def with_prefix(values: pa.Array, prefix: str) -> pa.Array:
    """Each text, or each text of each list, with the prefix before it; empty ones are missing."""
    if pa.types.is_list(values.type):
        return pa.ListArray.from_arrays(_list_offsets(values), with_prefix(values.flatten(), prefix))
    return pc.binary_join_element_wise(prefix, with_missing(values), "")


def with_default(column: pa.Array, default: str) -> pa.Array:
    """A column of texts, or of lists of them, with the default in each row that has none; missing elements are dropped."""
    if not pa.types.is_list(column.type):
        return pc.fill_null(with_missing(column), default)
    flat = with_missing(column.flatten())
    begins, kept = (
        _list_offsets(column).to_numpy(),
        np.concatenate([[0], np.cumsum(pc.is_valid(flat).to_numpy(zero_copy_only=False))]),
    )
    counts = np.diff(kept[begins])
    empty = counts == 0
    offsets = np.concatenate([[0], np.cumsum(counts + empty)]).astype(np.int32)
    places = np.full(offsets[-1], -1, np.int64)
    is_text = np.ones(offsets[-1], bool)
    is_text[offsets[:-1][empty]] = False
    places[is_text] = np.flatnonzero(pc.is_valid(flat).to_numpy(zero_copy_only=False))
    taken = flat.take(pa.array(places, mask=places < 0))
    return pa.ListArray.from_arrays(pa.array(offsets), pc.fill_null(taken, default))


def _list_offsets(column: pa.ListArray) -> pa.Int32Array:
    """Offsets into `column.flatten()`, which has no elements of null rows and begins at 0."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.array(offsets)


def convert_distinct(flat: pa.StringArray, convert: Convert) -> pa.Array:
    """`convert` over the different texts of `flat`, given back in the order of `flat`; null where it is null.

    What `convert` gets has no nulls and no empty texts, and is valid UTF-8 (what is not becomes U+FFFD).
    """
    encoded = pc.dictionary_encode(flat)
    values = convert(valid_utf8(encoded.dictionary))
    return values.take(encoded.indices)


def valid_utf8(flat: pa.StringArray) -> pa.StringArray:
    """The same texts; where one is not UTF-8, each wrong part is U+FFFD."""
    try:
        flat.validate(full=True)
    except pa.ArrowInvalid:
        return pa.array([text.decode(errors="replace") for text in flat.cast(pa.binary()).to_pylist()], pa.string())
    return flat


def refuse_long(flat: pa.StringArray, limit: int, what: str) -> None:
    """Raise InputError when a text has more than `limit` bytes."""
    longest = pc.max(pc.binary_length(flat)).as_py() or 0
    if longest > limit:
        raise InputError(f"a text of {longest} bytes; {what} takes texts of at most {limit} bytes; shorten it before")
