"""The rows of a column of maps as dicts: what the references of lookup_feature, match_feature and kv_dot_product read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.config.spec import Feature, Field
from tvm_rank.errors import InputError
from tvm_rank.ops.reference import parse_float, row_in, texts, tokens

NUMBERS = (pa.int32(), pa.int64(), pa.float32(), pa.float64())
KEYS = (pa.string(), pa.int32(), pa.int64())
Value = bytes | np.float32 | None
"""Of an entry: a text as it stands, a number of an Arrow map rounded to float32, or nothing."""


def check_map(
    feature: Feature, field: Field, column: pa.Array, rows: int, items: Sequence[pa.DataType] = (pa.string(), *NUMBERS)
) -> None:
    """Raise InputError unless the column is text, list<string>, or a map from text or integer to one of `items`; and fits `rows`."""
    where, kind = f"feature {feature.name!r}, field {field.side}:{field.name}", column.type
    is_map = pa.types.is_map(kind) and kind.key_type in KEYS and kind.item_type in items
    if not is_map and kind not in (pa.string(), pa.list_(pa.string())):
        raise InputError(f"{where}: type {kind} holds no `key:value`; give a map, string or list<string>")
    if len(column) not in (rows, 1):
        raise InputError(f"{where}: wanted {rows} rows, or 1 for all, got {len(column)}")


def values_are_text(column: pa.Array) -> bool:
    """Whether the values of the maps come as text, so that numbers are computed in double."""
    return (
        column.type.item_type == pa.string()
        if pa.types.is_map(column.type)
        else column.type in (pa.string(), pa.list_(pa.string()))
    )


def entries(
    column: pa.Array, row: int, separators: Sequence[str], delimiter: str = ":", *, as_text: bool = False
) -> list[tuple[bytes, Value]]:
    """(key, value) of the row in order, repeated keys included; value None: it has none (null, empty, or no delimiter).

    A text is split at the separators, elements of a list are not; each part is cut at its first delimiter. Integer keys are decimal
    text; an empty key of a map is dropped like an empty text, with its value. as_text: numbers of a map are given as their text.
    """
    if not pa.types.is_map(column.type):
        parts = [part.partition(delimiter.encode()) for part in tokens(column, row, separators)]
        return [(key, value or None) for key, _, value in parts]
    found = column[row_in(column, row)].values
    if found is None:
        return []
    keys, items = texts(found.field(0)), found.field(1)
    values: Sequence[Value]
    if as_text or items.type == pa.string():
        values = [value or None for value in texts(items)]
    else:
        with np.errstate(over="ignore"):
            rounded = items.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float32)
        values = [value if valid else None for value, valid in zip(rounded, items.is_valid().to_pylist(), strict=True)]
    return [(key, value) for key, value in zip(keys, values, strict=True) if key]


def number_of(value: Value) -> float | None:
    """The double of a value; None when it is no number."""
    if isinstance(value, bytes):
        return parse_float(value)
    return None if value is None else float(value)
