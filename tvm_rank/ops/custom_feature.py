"""custom_feature: what a function gives for the values of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.config.types.custom_feature import CustomFeature
from tvm_rank.errors import InputError
from tvm_rank.ops.normalize import to_float32
from tvm_rank.ops.reference import check_columns, is_number, parse_float, parse_int64, ragged, readable, row_in, text_ids, tokens
from tvm_rank.ops.typed_numbers import default_values, id_of, typed
from tvm_rank.output import FeatureOutput

INT64 = (-(2**63), 2**63 - 1)
FAILURES = (ArithmeticError, ValueError, LookupError, TypeError, AssertionError)


def reference(feature: CustomFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """The results as ids (nnz,) int64 and lengths (rows,) int32, or dense (rows, value_dim) float32.

        len(a) over   "ab" · ["a", "bcd"] · null     with value_dim 0 and num_buckets:   values [2 1 3 0]   lengths [1 2 1]

    A scalar parameter takes one value of the row: the function is called for each, and parameters with one value have it in all calls;
    a row in which one has no value is missing. A list parameter takes all values, perhaps none. Texts (str, bytes) are the row's tokens;
    numbers are those that raw_feature reads, an int truncated towards zero, with the nearest end beyond int64 and 0 for NaN.

    A call that raises, or returns None, has no value: alone, the row is missing; among several, ids leave it out, and dense numbers have
    the default in its place. A missing row has the default. Numbers go out as those of an expr_feature (`typed_numbers`), an empty text is
    dropped.

    Raises InputError for a column of another type or length, and for rows whose counts of values do not fit.
    """
    check_columns(feature, columns, rows)
    results = [_results(feature, columns, row) for row in range(rows)]
    if feature.as_texts:
        texts = [[str(value).encode() for value in row if value is not None] for row in results]
        return text_ids(feature, feature.prefix, texts, hash_function)
    return _numbers(feature, results, hash_function)


def _numbers(feature: CustomFeature, results: Sequence[Sequence[Any]], hash_function: str) -> FeatureOutput:
    defaults = default_values(feature)
    values = []
    for row, numbers in enumerate(results):
        if numbers and feature.value_dim and len(numbers) != feature.value_dim:
            raise InputError(
                f"feature {feature.name!r}, row {row}: wanted {feature.value_dim} results, got {len(numbers)}; fit them"
            )
        values.append([None if number is None else typed(feature, float(number)) for number in numbers] or defaults)
    if feature.bucketizer:
        found = [[id_of(feature, value, hash_function) for value in row if value is not None] for row in values]
        return ragged([ids or [id_of(feature, value, hash_function) for value in defaults] for ids in found])
    filled = defaults or [np.float32(0)] * feature.value_dim
    dense = [[to_float32(float(filled[k] if value is None else value)) for k, value in enumerate(row or filled)] for row in values]
    return FeatureOutput(dense=np.array(dense, np.float32).reshape(len(values), feature.value_dim))


def _results(feature: CustomFeature, columns: Sequence[pa.Array], row: int) -> list[Any]:
    program = feature.program
    pairs = zip(columns, program.parameters, strict=True)
    given = [_values(column, row, kind, feature.separators) for column, (_, kind) in pairs]
    counts = [len(values) for values, scalar in zip(given, program.scalars, strict=True) if scalar]
    if 0 in counts:
        return []
    calls = max(counts, default=1)
    if any(count not in (1, calls) for count in counts):
        raise InputError(
            f"feature {feature.name!r}, row {row}: wants one value, or all the same number of them, got {counts}; fit them"
        )
    results: list[Any] = []
    for k in range(calls):
        chosen = zip(given, program.scalars, strict=True)
        value = _call(feature, [values[0 if len(values) == 1 else k] if scalar else list(values) for values, scalar in chosen])
        if value is None and calls == 1:
            return []
        results += value if isinstance(value, list) else [value]
    return results


def _call(feature: CustomFeature, arguments: list[Any]) -> Any:
    try:
        result = feature.function(*arguments)
    except FAILURES:
        return None
    return None if isinstance(result, complex) else result


def _values(column: pa.Array, row: int, kind: str, separators: Sequence[str]) -> list[Any]:
    element = {"ints": "int", "floats": "float", "texts": "text"}.get(kind, kind)
    if element in ("text", "bytes"):
        return [readable(token) if element == "text" else token for token in tokens(column, row, separators)]
    if not is_number(column.type):
        return [_parsed(token, element) for token in tokens(column, row, separators)]
    value = column[row_in(column, row)]
    if not value.is_valid:
        return []
    numbers = value.values.to_pylist() if pa.types.is_list(column.type) else [value.as_py()]
    return [_converted(0 if number is None else number, element) for number in numbers]


def _parsed(token: bytes, element: str) -> Any:
    whole = parse_int64(token)
    if element != "float" and whole is not None and INT64[0] <= whole <= INT64[1]:
        return _converted(whole, element)
    number = parse_float(token)
    return _converted(0.0 if number is None else number, element)


def _converted(number: float, element: str) -> Any:
    if element == "float":
        return float(number)
    whole = 0 if number != number else int(min(max(number, INT64[0]), INT64[1]))
    return bool(whole) if element == "bool" else whole
