"""The items that a user brings: a file or columns, and the column that is their key."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from tvm_rank.cli.columns_file import read_columns
from tvm_rank.errors import InputError
from tvm_rank.runtime.columns import as_array, as_columns, find_column
from tvm_rank.runtime.nearest_type import nearest_type

STRING, INT64 = "string", "int64"
MOST_ROWS = 2**31 - 2  # a row number is an int32, and one more row stands for missing items


def read_items(items: Any, key: str, needed: Iterable[str]) -> dict[str, pa.Array]:
    """The key column and the `needed` columns, each one array of a type that kernels read.

    items: the path of a Parquet or Arrow file, a pyarrow Table or RecordBatch, or a dict of columns. Raises InputError for a file that
    cannot be read, a missing column, columns of different lengths, and a key of another type than string or integer.
    """
    where = str(items) if isinstance(items, (str, os.PathLike)) else "items"
    columns, _ = as_columns(read_columns(os.fspath(items)) if isinstance(items, (str, os.PathLike)) else items, where)
    arrays = {}
    for name in dict.fromkeys((key, *needed)):
        place = f"{where} column {name!r}"
        array = as_array(find_column(columns, name, where), place)
        arrays[name] = _key(array, place) if name == key else _taken(array, place)
    rows = len(arrays[key])
    if wrong := [f"{name!r} has {len(array)}" for name, array in arrays.items() if len(array) != rows]:
        raise InputError(f"{where}: {rows} keys, but {', '.join(wrong)} rows; give each column a row for each item")
    if rows > MOST_ROWS:
        raise InputError(f"{where}: {rows} items; a store holds at most {MOST_ROWS}; split the items over several artifacts")
    return arrays


def key_type(key: pa.Array) -> str:
    """STRING or INT64."""
    return STRING if pa.types.is_string(key.type) else INT64


def _taken(array: pa.Array, place: str) -> pa.Array:
    return _cast(array, nearest_type(array.type), place)


def _key(array: pa.Array, place: str) -> pa.Array:
    kind = nearest_type(array.type)
    if pa.types.is_integer(kind):
        return _cast(array, pa.int64(), place)
    if not pa.types.is_string(kind):
        raise InputError(f"{place}: is the item key and has the type {array.type}; a key is a string or an integer")
    return _cast(array, pa.string(), place)


def _cast(array: pa.Array, wanted: pa.DataType, place: str) -> pa.Array:
    if array.type == wanted:
        return array
    try:
        return array.cast(wanted)
    except pa.ArrowException as error:
        raise InputError(f"{place}: cannot be read as {wanted} ({error})") from error
