"""What the references of all feature types share: columns to texts, texts to ids. Plain loops, obviously right, slow.

A reference is the definition of its feature type; kernels agree with it, never the reverse.

Columns are Arrow arrays of int32, int64, float32, float64 or string, lists of those, and map<string|int, number> for weighted ids.
Strings are bytes here: a NUL or invalid UTF-8 is as good as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.config.number import parse_float, parse_int64
from tvm_rank.config.spec import Feature, Field, HashBucket, NumBuckets, Vocabulary
from tvm_rank.errors import InputError
from tvm_rank.ops.hashes import hash_farm, hash_std
from tvm_rank.output import FeatureOutput

__all__ = [
    "ACCEPTED", "HASHES", "check_column", "check_columns", "default_token_ids", "format_numbers", "hash_farm", "hash_std", "id_function",
    "is_number", "is_scalar_number", "parse_float", "parse_int64", "ragged", "readable", "row_in",
    "row_texts", "split_tokens", "text_ids", "texts", "tokens",
]  # fmt: skip

ACCEPTED = "int32, int64, float32, float64, string, or a list of one of them"
HASHES: dict[str, Callable[[bytes], int]] = {"std": hash_std, "farm": hash_farm}

_NUMBERS = (pa.int32(), pa.int64(), pa.float32(), pa.float64())


def is_number(kind: pa.DataType) -> bool:
    """True for the number types that are accepted, and for lists of them."""
    return (kind.value_type if pa.types.is_list(kind) else kind) in _NUMBERS


def is_scalar_number(kind: pa.DataType) -> bool:
    """True for a column of numbers without lists."""
    return kind in _NUMBERS


def _is_accepted(kind: pa.DataType, with_map: bool) -> bool:
    if pa.types.is_map(kind):
        return with_map and kind.key_type in (pa.string(), pa.int32(), pa.int64()) and kind.item_type in _NUMBERS
    return is_number(kind) or (kind.value_type if pa.types.is_list(kind) else kind) == pa.string()


def check_columns(feature: Feature, columns: Sequence[pa.Array], rows: int, *, with_map: bool = False) -> None:
    """Raise InputError unless there is one column for each field, of an accepted type, with `rows` rows or one row for all."""
    if len(columns) != len(feature.fields):
        raise InputError(f"feature {feature.name!r}: wanted {len(feature.fields)} columns, got {len(columns)}")
    for field, column in zip(feature.fields, columns, strict=True):
        check_column(feature, field, column, rows, with_map=with_map)


def check_column(feature: Feature, field: Field, column: pa.Array, rows: int, *, with_map: bool = False) -> None:
    """The same for one column."""
    where = f"feature {feature.name!r}, field {field.side}:{field.name}"
    if not _is_accepted(column.type, with_map):
        more = ", or map<string or int, number>" if with_map else ""
        raise InputError(f"{where}: type {column.type} is not accepted; cast the column to {ACCEPTED}{more}")
    if len(column) not in (rows, 1):
        raise InputError(f"{where}: wanted {rows} rows, or 1 for all, got {len(column)}")


def row_in(column: pa.Array, row: int) -> int:
    """The row of the column that serves row `row` of the batch: a column of one row serves all."""
    return 0 if len(column) == 1 else row


def format_numbers(column: pa.Array) -> pa.Array:
    """The texts of a number column, as Arrow casts to string: 7 -> "7", 5.2 -> "5.2", 1.0 -> "1", 1e20 -> "1e+20"."""
    return pc.cast(column, pa.string())


def texts(column: pa.Array) -> list[bytes | None]:
    """The text of each element of a column without lists; None for null."""
    as_text = format_numbers(column) if column.type in _NUMBERS else column
    return pc.cast(as_text, pa.binary()).to_pylist()


def tokens(column: pa.Array, row: int, separators: Sequence[str] = ("\x1d",)) -> list[bytes]:
    """The texts of a row, in order; none when the row is missing.

    A scalar string is split at every separator byte; elements of a list are not. Numbers are formatted. Empty texts and null
    elements are dropped, so that null, "", [], [null] and "\\x1d" are all missing.
    """
    at = row_in(column, row)
    if pa.types.is_list(column.type):
        values = column[at].values
        return [text for text in texts(values) if text] if values is not None else []
    text = texts(column.slice(at, 1))[0] or b""
    if column.type == pa.string():
        return split_tokens(text, separators)
    return [text] if text else []


def split_tokens(text: bytes, separators: Sequence[str]) -> list[bytes]:
    """The parts of a text between separator bytes that are not empty."""
    for separator in separators[1:]:
        text = text.replace(separator.encode(), separators[0].encode())
    return [part for part in text.split(separators[0].encode()) if part]


def row_texts(column: pa.Array, row: int, separators: Sequence[str]) -> list[bytes]:
    """As `tokens`, but without separators a text is one value."""
    if separators or pa.types.is_list(column.type):
        return tokens(column, row, separators or ("\x1d",))
    return [text] if (text := texts(column.slice(row_in(column, row), 1))[0]) else []


def readable(text: bytes) -> str:
    """The text as a library reads it: what is no UTF-8 is U+FFFD."""
    return text.decode(errors="replace")


def id_function(feature: Feature, hash_function: str) -> Callable[[bytes, int], Any]:
    """The function (text, row) -> id of a feature's bucketizer; `text` has its prefix already. The row is for messages.

    Without a bucketizer it gives the text back: a stub gives its texts to other features.
    """
    bucketizer = feature.bucketizer
    if bucketizer is None:
        return lambda text, _row: text
    if isinstance(bucketizer, HashBucket):
        hash_text, size = HASHES[hash_function], bucketizer.size
        return lambda text, _row: hash_text(text) % size
    if isinstance(bucketizer, Vocabulary):
        entries, unknown = {word.encode(): number for word, number in bucketizer.entries}, bucketizer.default
        return lambda text, _row: entries.get(text, unknown)
    assert isinstance(bucketizer, NumBuckets)
    return lambda text, row: _number_id(feature, bucketizer.size, text, row)


def _number_id(feature: Feature, size: int, text: bytes, row: int) -> int:
    number = parse_int64(text)
    if number is None:
        raise InputError(
            f"feature {feature.name!r}, row {row}: num_buckets wants an integer, got {text.decode(errors='replace')[:40]!r}; "
            "clean the column, or use hash_bucket_size"
        )
    return number if 0 <= number < size else 0


def default_token_ids(feature: Feature, hash_function: str) -> list[Any]:
    """The ids of a missing row: `default_value` as one token, not split and without prefix; none when it is ""."""
    text = feature.default_value.encode()
    return [id_function(feature, hash_function)(text, 0)] if text else []


def text_ids(
    feature: Feature, prefix: str, values: Sequence[Sequence[bytes]], hash_function: str, *, has_default: bool = True
) -> FeatureOutput:
    """The ids of rows of texts: empty texts are dropped, a row without any has the id of the default, `value_dim` k > 0 keeps k."""
    id_of, default = id_function(feature, hash_function), default_token_ids(feature, hash_function) if has_default else []
    before = b"" if isinstance(feature.bucketizer, NumBuckets) else prefix.encode()
    found = [[id_of(before + text, row) for text in texts if text] or default for row, texts in enumerate(values)]
    return ragged([ids[: feature.value_dim or None] for ids in found])


def ragged(rows: Sequence[Sequence[Any]], weights: Sequence[Sequence[np.float32]] | None = None) -> FeatureOutput:
    """The output whose row r has the ids rows[r], and the weights weights[r]. The texts of a stub are an array of objects."""
    values = [value for row in rows for value in row]
    return FeatureOutput(
        values=np.array(values, object if values and isinstance(values[0], bytes) else np.int64),
        lengths=np.array([len(row) for row in rows], np.int32),
        weights=None if weights is None else np.array([weight for row in weights for weight in row], np.float32),
    )
