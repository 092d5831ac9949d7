"""combine_feature: the values of one field, as numbers, combined to one."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from tvm_rank.config.types.combine_feature import CombineFeature
from tvm_rank.ops.combine import combine
from tvm_rank.ops.reference import check_columns, is_number, parse_float, row_in, tokens
from tvm_rank.ops.typed_numbers import output
from tvm_rank.output import FeatureOutput


def reference(feature: CombineFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Dense (rows, 1) float32, or with a bucketizer ids (nnz,) int64 and lengths (rows,) int32.

        mean, int64   "1|2" · "3" · null   ->   1 · 3 · the default

    The numbers of a row are those of its tokens (`reference.tokens`), or what `value_map` has for them, in float64; a token without a
    number is dropped, and so is a null element. `ops.combine` makes one number of them, which is typed, normalized and bucketized
    (`typed_numbers.output`). A row without numbers is missing.

    Raises InputError for a column of another type or length.
    """
    check_columns(feature, columns, rows)
    numbers = [_numbers(feature, columns[0], row) for row in range(rows)]
    return output(feature, [[combine(feature.combiner, found)] if found else [] for found in numbers], hash_function)


def _numbers(feature: CombineFeature, column: pa.Array, row: int) -> list[float]:
    if feature.value_map is not None:
        known = {word.encode(): number for word, number in feature.value_map}
        return [known[token] for token in tokens(column, row, feature.separators) if token in known]
    if not is_number(column.type):
        parsed = [parse_float(token) for token in tokens(column, row, feature.separators)]
        return [number for number in parsed if number is not None]
    value = column[row_in(column, row)]
    if not value.is_valid:
        return []
    elements = value.values.to_pylist() if pa.types.is_list(column.type) else [value.as_py()]
    return [float(element) for element in elements if element is not None]
