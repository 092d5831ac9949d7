"""lookup_feature: the values that a map has for the keys of a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.config.spec import Boundaries, NumBuckets
from tvm_rank.config.types.lookup_feature import VALUE_SEPARATOR, LookupFeature
from tvm_rank.ops.combine import combine
from tvm_rank.ops.map_rows import Value, check_map, entries, number_of, values_are_text
from tvm_rank.ops.normalize import bucket_of, normalize_number, normalize_text, to_float32
from tvm_rank.ops.reference import check_column, default_token_ids, id_function, ragged, tokens
from tvm_rank.output import FeatureOutput


def reference(feature: LookupFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Ids (nnz,) int64, lengths (rows,) int32 and perhaps weights (nnz,) float32; or dense (rows, value_dim) float32. columns: map, key.

        map "a:1\\x1db:2", key ["a", "c", "b"]   ->   texts 1, 2 · with their keys a_1, b_2 · sum 3 · mean 1.5

    A map is an Arrow map, list<string> of `key:value`, or one text of such parts. Entries without a value (null, empty, no `:`) are
    dropped, then the last of equal keys counts. Each key of the row, in order, is looked up by its text; a key that the map lacks is
    skipped, or has the value `miss`.

    Texts: each hit gives the id of prefix + [key _] value; num_buckets reads the bare value. Weighted: of prefix + key, with the value
    as weight, 1 if it is no number. value_dim does not limit them. A row without hits has the id of the default, or none.

    Numbers: a value that is no number is no hit. The hits are combined in double (`combine`), numbers of a map having been rounded to
    float32. If the map's values are numbers the result is rounded to float32 and normalized in float32, if they are texts it is
    normalized in double and then rounded. value_dim > 1: values are numbers with "," between, cut or filled up with zeros to value_dim
    (a part that is no number is 0, and a hit is a hit), and each place is combined by itself. A row without hits has the default numbers
    as they are, 0 if there are none; with boundaries these are bucketized, and without a default there is no id.

    Raises InputError for a column of another type or length, and for text that is no integer under num_buckets.
    """
    check_map(feature, feature.fields[0], columns[0], rows)
    check_column(feature, feature.fields[1], columns[1], rows)
    if feature.discrete:
        return _ids(feature, columns, rows, hash_function)
    numbers = [_numbers(feature, columns, row) for row in range(rows)]
    if isinstance(feature.bucketizer, Boundaries):
        return ragged([[bucket_of(feature.bucketizer, value) for value in row] for row in numbers])
    dense = [row or [np.float32(0)] * feature.value_dim for row in numbers]
    return FeatureOutput(dense=np.array(dense, np.float32).reshape(rows, feature.value_dim))


def _hits(feature: LookupFeature, columns: Sequence[pa.Array], row: int, *, as_text: bool) -> list[tuple[bytes, Value]]:
    """(key, value) for each key of the row that the map has, or that has the value `miss`."""
    found = dict(pair for pair in entries(columns[0], row, feature.map_separators, as_text=as_text) if pair[1] is not None)
    miss = None if feature.miss is None else feature.miss.encode()
    pairs = [(key, found.get(key, miss)) for key in tokens(columns[1], row, feature.separators)]
    return [(key, value) for key, value in pairs if value is not None]


def _ids(feature: LookupFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    id_of, default = id_function(feature, hash_function), default_token_ids(feature, hash_function)
    prefix = b"" if isinstance(feature.bucketizer, NumBuckets) else feature.prefix.encode()
    ids, weights = [], []
    for row in range(rows):
        hits = _hits(feature, columns, row, as_text=not feature.weighted)
        ids.append([id_of(prefix + _text(feature, key, value), row) for key, value in hits] or default)
        weights.append([_weight(value) for _, value in hits] or [np.float32(1)] * len(default))
    return ragged(ids, weights if feature.weighted else None)


def _text(feature: LookupFeature, key: bytes, value: Value) -> bytes:
    if feature.weighted:
        return key
    assert isinstance(value, bytes)
    return key + b"_" + value if feature.with_key else value


def _weight(value: Value) -> np.float32:
    number = number_of(value)
    return np.float32(1) if number is None else to_float32(number)


def _numbers(feature: LookupFeature, columns: Sequence[pa.Array], row: int) -> list[np.float32]:
    """The numbers of a row in output space; none when it has no hit and no default."""
    values = [value for _, value in _hits(feature, columns, row, as_text=False)]
    places: list[list[float]]
    if feature.value_dim > 1:
        places = [list(place) for place in zip(*(_vector(value, feature.value_dim) for value in values), strict=True)]
    else:
        numbers = [number for number in map(number_of, values) if number is not None]
        places = [numbers] if numbers else []
    with np.errstate(all="ignore"):
        if feature.combiner:
            results = [float(combine(feature.combiner, place)) for place in places]
        else:
            results = [number for place in places for number in place]
    if values_are_text(columns[0]):
        normalized = [normalize_text(feature.normalizer, number) for number in results]
    else:
        normalized = [normalize_number(feature.normalizer, to_float32(number)) for number in results]
    return normalized or [np.float32(number) for number in feature.defaults]


def _vector(value: Value, dimension: int) -> list[float]:
    parts: list[Value] = [*value.split(VALUE_SEPARATOR.encode())] if isinstance(value, bytes) else [value]
    numbers = [number_of(part) for part in parts]
    filled = [0.0 if number is None else number for number in numbers]
    return (filled + [0.0] * dimension)[:dimension]
