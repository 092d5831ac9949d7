"""raw_feature: the numbers of one field, normalized, and bucketized when it has boundaries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.config.spec import Boundaries
from tvm_rank.config.types.raw_feature import RawFeature
from tvm_rank.errors import InputError
from tvm_rank.ops.normalize import bucket_of, normalize_number, normalize_text
from tvm_rank.ops.reference import check_columns, is_number, is_scalar_number, parse_float, ragged, row_in, tokens
from tvm_rank.output import FeatureOutput

Numbers = Sequence[np.float32]


def reference(feature: RawFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Dense (rows, value_dim) float32; with boundaries ids (nnz,) int64 and lengths (rows,) int32.

        value_dim 2, separator "|", default "":   "1|2" · null   ->   dense = [[1 2] [0 0]]
        and boundaries [1.5]:                                    ->   values = [0 1]   lengths = [2 0]

    Numeric columns are rounded to float32 and normalized in float32, text columns in double (`normalize`). A text that is no number
    is 0.0 and a null element of a numeric list keeps its place as 0.0; both are then normalized like any number. Empty texts and
    null elements of list<string> are dropped. A row that is not missing must have exactly value_dim numbers, so that a scalar
    numeric column needs value_dim 1.

    A missing row (null, "", []) has the default numbers as they are: not normalized, but bucketized. With the default "", dense
    rows are 0 and bucketized rows have no id; but in a scalar numeric column they have the id of an un-normalized 0.0. NaN passes
    through; its bucket is 0.

    Raises InputError for a column of another type or length, and for a row with another count of numbers.
    """
    del hash_function  # numbers are not hashed
    check_columns(feature, columns, rows)
    column = columns[0]
    if is_scalar_number(column.type) and feature.value_dim != 1:
        raise InputError(f"feature {feature.name!r}: value_dim is {feature.value_dim}, but a column of {column.type} has 1 a row")
    numbers = [_row(feature, column, row) for row in range(rows)]
    if isinstance(feature.bucketizer, Boundaries):
        return ragged([[bucket_of(feature.bucketizer, value) for value in row] for row in numbers])
    dense = [row or [np.float32(0)] * feature.value_dim for row in numbers]
    return FeatureOutput(dense=np.array(dense, np.float32).reshape(rows, feature.value_dim))


def _row(feature: RawFeature, column: pa.Array, row: int) -> Numbers:
    """The numbers of a row in output space; none when it is missing and has no default."""
    if is_number(column.type):
        values = [normalize_number(feature.normalizer, value) for value in _float32s(column, row)]
    else:
        found = tokens(column, row, feature.separators)
        values = [normalize_text(feature.normalizer, _number(token)) for token in found]
    if values and len(values) != feature.value_dim:
        raise InputError(
            f"feature {feature.name!r}, row {row}: wanted {feature.value_dim} values (value_dim), got {len(values)}; "
            "make the column regular, or change value_dim"
        )
    if values or feature.defaults or not is_scalar_number(column.type):
        return values or [np.float32(number) for number in feature.defaults]
    return [np.float32(0)]


def _number(token: bytes) -> float:
    number = parse_float(token)
    return 0.0 if number is None else number


def _float32s(column: pa.Array, row: int) -> Numbers:
    """The numbers of a row of a numeric column; none when it is null or an empty list."""
    at = row_in(column, row)
    if not column[at].is_valid:
        return []
    values = column[at].values if pa.types.is_list(column.type) else column.slice(at, 1)
    with np.errstate(over="ignore"):
        return list(values.fill_null(0).to_numpy().astype(np.float32))
