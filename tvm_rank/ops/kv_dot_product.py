"""kv_dot_product: the dot product of two sparse vectors, given as `key:weight`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.config.spec import Boundaries
from tvm_rank.config.types.kv_dot_product import KvDotProduct
from tvm_rank.ops.map_rows import entries, number_of
from tvm_rank.ops.normalize import bucket_of, normalize_number, normalize_text, to_float32
from tvm_rank.ops.reference import check_columns, ragged
from tvm_rank.output import FeatureOutput


def reference(feature: KvDotProduct, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Dense (rows, 1) float32; with boundaries ids (rows,) int64 and lengths (rows,) int32, all 1. columns: query, document.

        query "a:0.5|b:2", document ["b", "a:3", "c"]   ->   2 * 1 + 0.5 * 3 = 3.5

    Either column is text, integers, floats, a list of them, or a map to numbers. A text is split at the separators, and each part cut at
    the first delimiter into key and weight; without a number behind it the weight is 1, and so it is for numbers, which are keys by their
    text, and for nulls of a map. Of equal keys the last counts. Products and their sum, in the order of the document, are double; numbers
    of a map are rounded to float32 before.

    If both columns are maps or integers the sum is rounded to float32 and normalized in float32, else it is normalized in double and then
    rounded. Without a common key the row has the default number (0 if none is configured): not normalized, but bucketized.

    Raises InputError for a column of another type or length.
    """
    del hash_function  # keys are compared, not hashed
    check_columns(feature, columns, rows, with_map=True)
    numbers = [_number(feature, columns, row) for row in range(rows)]
    if isinstance(feature.bucketizer, Boundaries):
        return ragged([[bucket_of(feature.bucketizer, number)] for number in numbers])
    return FeatureOutput(dense=np.array(numbers, np.float32).reshape(rows, 1))


def _number(feature: KvDotProduct, columns: Sequence[pa.Array], row: int) -> np.float32:
    query, document = (_weights(feature, column, row) for column in columns)
    products = [(query[key], weight) for key, weight in document.items() if key in query]
    if not products:
        return np.float32(feature.default)
    total = 0.0
    with np.errstate(all="ignore"):
        for left, right in products:
            total += float(np.float64(left) * np.float64(right))
    if any(map(_is_text, columns)):
        return normalize_text(feature.normalizer, total)
    return normalize_number(feature.normalizer, to_float32(total))


def _weights(feature: KvDotProduct, column: pa.Array, row: int) -> dict[bytes, float]:
    """Key -> weight, in the order of the keys' last places."""
    found: dict[bytes, float] = {}
    for key, value in entries(column, row, feature.separators, feature.delimiter):
        number = number_of(value)
        found.pop(key, None)
        found[key] = 1.0 if number is None else number
    return found


def _is_text(column: pa.Array) -> bool:
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    return not pa.types.is_map(kind) and not pa.types.is_integer(kind)
