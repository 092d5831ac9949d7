"""bool_mask_feature: the values of one field whose place in a mask is true, bucketized."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from tvm_rank.config.spec import NumBuckets
from tvm_rank.config.types.bool_mask_feature import BoolMaskFeature
from tvm_rank.ops.reference import check_columns, default_token_ids, id_function, ragged, row_in, texts
from tvm_rank.output import FeatureOutput

TRUE = (b"true", b"1")


def reference(feature: BoolMaskFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Ids (nnz,) int64 and lengths (rows,) int32. columns: values, mask.

        "a|b||d" with "true|false|true|1"   ->   the ids of a, d        (the third value is empty)

    Values and mask items meet by their places: parts of a text, empty ones too, or elements of a list, null ones too. A value is kept
    when its mask item is the text `true` in any case, or `1` (the integer, too), and it is not empty; a value without a mask item is
    not. Each gets the id of prefix + value; num_buckets reads the bare value. A row that keeps nothing is missing: it has the id of
    `default_value`, or none. `value_dim` k > 0 keeps the first k ids.

    Raises InputError for a column of another type or length, and for a kept text that is no integer under num_buckets.
    """
    check_columns(feature, columns, rows)
    id_of, default = id_function(feature, hash_function), default_token_ids(feature, hash_function)
    prefix = b"" if isinstance(feature.bucketizer, NumBuckets) else feature.prefix.encode()
    ids = []
    for row in range(rows):
        values, mask = (places(column, row, feature.separators) for column in columns)
        kept = [value for value, item in zip(values, mask, strict=False) if value and item.lower() in TRUE]
        ids.append([id_of(prefix + value, row) for value in kept][: feature.value_dim or None] or default)
    return ragged(ids)


def places(column: pa.Array, row: int, separators: Sequence[str]) -> list[bytes]:
    """The texts of a row with its empty and null ones (as b""); none when the row is null or an empty text or list."""
    at = row_in(column, row)
    if pa.types.is_list(column.type):
        values = column[at].values
        return [text or b"" for text in texts(values)] if values is not None else []
    text = texts(column.slice(at, 1))[0] or b""
    if column.type != pa.string():
        return [text] if text else []
    for separator in separators[1:]:
        text = text.replace(separator.encode(), separators[0].encode())
    return text.split(separators[0].encode()) if text else []
