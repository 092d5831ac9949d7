"""Numbers of a `value_type` on their way out: what expr_feature and combine_feature have in common."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.config.number import INT64_MAX, INT64_MIN
from tvm_rank.config.spec import Boundaries, HashBucket, NumBuckets
from tvm_rank.config.typed_numbers import TypedNumbers
from tvm_rank.errors import InputError
from tvm_rank.ops.normalize import bucket_of, normalize_double, normalize_number, to_float32
from tvm_rank.ops.reference import HASHES, is_number, parse_float, ragged, row_in, tokens
from tvm_rank.output import FeatureOutput

Value = np.float32 | np.float64 | int
LIMITS = {"int32": (-(2**31), 2**31 - 1), "int64": (INT64_MIN, INT64_MAX)}


def numbers_of(column: pa.Array, row: int, separators: Sequence[str]) -> list[float]:
    """The float64 numbers of a row; none when it is missing.

    A numeric column gives its numbers as they are (int64 rounded), a null element of a list 0.0 in its place. A text column gives
    the numbers of its tokens, 0.0 for a token that is no number.
    """
    if not is_number(column.type):
        parsed = [parse_float(token) for token in tokens(column, row, separators)]
        return [0.0 if number is None else number for number in parsed]
    value = column[row_in(column, row)]
    if not value.is_valid:
        return []
    elements = value.values.to_pylist() if pa.types.is_list(column.type) else [value.as_py()]
    return [0.0 if element is None else float(element) for element in elements]


def typed(feature: TypedNumbers, number: float) -> Value:
    """A computed float64 as the feature's value.

    float     rounded to float32, normalized in float32
    double    normalized in double, with parameters rounded to float32
    int32/64  normalized like double, then truncated towards zero; beyond the type its nearest end, NaN 0
    """
    if feature.value_type == "float":
        return normalize_number(feature.normalizer, to_float32(number))
    value = normalize_double(feature.normalizer, number)
    return _truncated(float(value), *LIMITS[feature.value_type]) if feature.is_integer else value


def _truncated(number: float, low: int, high: int) -> int:
    if number != number:
        return 0
    return int(number) if low < number < high else low if number <= low else high


def id_of(feature: TypedNumbers, value: Value, hash_function: str) -> int:
    """The id of a value: of its float32 by boundaries, of the integer itself, or of the bits of the float32 or double.

    A hashed 0.0 or -0.0 has the id 0 under both hash functions, as libstdc++'s std::hash of floating point numbers has it; every
    NaN has the bits of the one without sign and payload.
    """
    rule = feature.bucketizer
    if isinstance(rule, Boundaries):
        return bucket_of(rule, to_float32(float(value)))
    if isinstance(rule, NumBuckets):
        return int(value) if 0 <= value < rule.size else 0
    assert isinstance(rule, HashBucket)
    bits = struct.pack("<d" if feature.value_type == "double" else "<f", math.nan if value != value else value)
    return HASHES[hash_function](bits) % rule.size if value != 0 else 0


def default_values(feature: TypedNumbers) -> list[Value]:
    """The values of a missing row: the default numbers, typed but not normalized."""
    if feature.is_integer:
        return [_truncated(number, *LIMITS[feature.value_type]) for number in feature.defaults]
    return [number if feature.value_type == "double" else to_float32(number) for number in map(np.float64, feature.defaults)]


def output(feature: TypedNumbers, rows: Sequence[Sequence[float]], hash_function: str) -> FeatureOutput:
    """Dense (rows, value_dim) float32, or with a bucketizer ids (nnz,) int64 and lengths (rows,) int32, from computed numbers.

    A row without numbers is missing: it has the default values, which bypass the normalizer; without a default, dense rows are 0
    and bucketized rows have no id. Other rows must have value_dim numbers; any count where value_dim is 0.

    Raises InputError for a row with another count.
    """
    values: list[Sequence[Value]] = []
    for row, numbers in enumerate(rows):
        if numbers and feature.value_dim and len(numbers) != feature.value_dim:
            raise InputError(
                f"feature {feature.name!r}, row {row}: wanted {feature.value_dim} values, got {len(numbers)}; fit them"
            )
        values.append([typed(feature, number) for number in numbers] or default_values(feature))
    if feature.bucketizer:
        return ragged([[id_of(feature, value, hash_function) for value in row] for row in values])
    dense = [[to_float32(float(value)) for value in row] or [np.float32(0)] * feature.value_dim for row in values]
    return FeatureOutput(dense=np.array(dense, np.float32).reshape(len(rows), feature.value_dim))
