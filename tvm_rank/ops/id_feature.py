"""id_feature: every value of one field, bucketized."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.config.spec import NumBuckets
from tvm_rank.config.types.id_feature import IdFeature
from tvm_rank.ops.normalize import to_float32
from tvm_rank.ops.reference import check_columns, default_token_ids, id_function, parse_float, ragged, row_in, texts, tokens
from tvm_rank.output import FeatureOutput


def reference(feature: IdFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Ids (nnz,) int64 and lengths (rows,) int32; with weights (nnz,) float32 if the feature is weighted.

        separator "|", default "":   "a|b" · null · "a"   ->   values = [id(a) id(b) id(a)]   lengths = [2 0 1]

    Each token of the row (`reference.tokens`) gets the id of prefix + token, duplicates kept; num_buckets reads the bare token. A
    missing row has the id of `default_value`, or none. `value_dim` k > 0 keeps the first k ids; a token behind them that
    num_buckets refuses is refused nevertheless.

    Weighted: a token is cut at its first ':' into key and weight. Without ':' all of it is the key; without a number behind it the
    weight is 1. The key may be empty. The entries of a map column are keys and weights in their order; an empty key is dropped like
    an empty text, a null weight is 1. The default is not cut and has weight 1.

    Raises InputError for a column of another type or length, and for text that is no integer under num_buckets.
    """
    check_columns(feature, columns, rows, with_map=feature.weighted)
    id_of, default = id_function(feature, hash_function), default_token_ids(feature, hash_function)
    prefix = b"" if isinstance(feature.bucketizer, NumBuckets) else feature.prefix.encode()
    limit = feature.value_dim or None
    ids: list[list[int]] = []
    weights: list[list[np.float32]] = []
    for row in range(rows):
        pairs = _keys_and_weights(feature, columns[0], row)
        found = [id_of(prefix + key, row) for key, _ in pairs] or default
        ids.append(found[:limit])
        weights.append([weight for _, weight in pairs][:limit] or [np.float32(1)] * len(default))
    return ragged(ids, weights if feature.weighted else None)


def _keys_and_weights(feature: IdFeature, column: pa.Array, row: int) -> list[tuple[bytes, np.float32]]:
    if pa.types.is_map(column.type):
        return _map_entries(column, row)
    found = tokens(column, row, feature.separators)
    return [_split(token) for token in found] if feature.weighted else [(token, np.float32(1)) for token in found]


def _split(token: bytes) -> tuple[bytes, np.float32]:
    key, _, text = token.partition(b":")
    weight = parse_float(text)
    return key, np.float32(1) if weight is None else to_float32(weight)


def _map_entries(column: pa.MapArray, row: int) -> list[tuple[bytes, np.float32]]:
    entries = column[row_in(column, row)].values
    if entries is None:
        return []
    keys, items = texts(entries.field(0)), entries.field(1).fill_null(1).cast(pa.float32(), safe=False).to_numpy()
    return [(key, weight) for key, weight in zip(keys, items, strict=True) if key]
