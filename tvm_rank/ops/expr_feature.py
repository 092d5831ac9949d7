"""expr_feature: a formula over the numbers of several fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.config.evaluation import evaluate
from tvm_rank.config.types.expr_feature import ExprFeature
from tvm_rank.config.vectors import element_variables, vector_calls
from tvm_rank.errors import InputError
from tvm_rank.ops.reference import check_columns
from tvm_rank.ops.typed_numbers import numbers_of, output
from tvm_rank.output import FeatureOutput


def reference(feature: ExprFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Dense (rows, value_dim) float32, or with a bucketizer ids (nnz,) int64 and lengths (rows,) int32. columns: the variables.

        a + b         a = "1|2|3", b = 10       ->   11 12 13        a number stands for each value beside it
        dot(a, a) / b                           ->   1.4             a function of vectors makes one number of them
        a + b         b null                    ->   the default, or with fill_missing 5:  6 7 8

    A variable has the numbers of its row (`typed_numbers.numbers_of`) in float64, and the formula is evaluated in float64
    (`config.evaluation`). A row that lacks any variable, used or not, is missing; with `fill_missing` the variable is that number.
    The variables outside of functions of vectors must have one value or all the same number of them, but one value each when the
    formula has such a function; so must the variables of one call of such a function among themselves. The results are then typed,
    normalized and bucketized (`typed_numbers.output`).

    Raises InputError for a column of another type or length, and for a row whose variables do not fit.
    """
    check_columns(feature, columns, rows)
    results = [_row(feature, [numbers_of(column, row, feature.separators) for column in columns], row) for row in range(rows)]
    return output(feature, results, hash_function)


def _row(feature: ExprFeature, numbers: Sequence[Sequence[float]], row: int) -> Sequence[float]:
    """The results of a row; none when it is missing."""
    if feature.fill_missing is not None:
        numbers = [values or [feature.fill_missing] for values in numbers]
    if not all(numbers):
        return []
    lengths = {name: len(values) for name, values in zip(feature.variables, numbers, strict=True)}
    calls, elements = vector_calls(feature.tree), element_variables(feature.tree)
    fits = all(_length(lengths, element_variables_of(call.arguments)) for call in calls)
    length = _length(lengths, elements)
    if not fits or not length or (calls and length > 1):
        raise InputError(f"feature {feature.name!r}, row {row}: the variables have {lengths} values; give one, or the same number")
    env = {name: np.array(values if len(values) > 1 else values[0]) for name, values in zip(lengths, numbers, strict=True)}
    return np.broadcast_to(evaluate(feature.tree, env), length).tolist()


def element_variables_of(arguments: Iterable) -> frozenset[str]:
    """The variables of the arguments of a call that are not inside of another one."""
    return frozenset().union(*(element_variables(argument) for argument in arguments))


def _length(lengths: dict[str, int], names: Iterable[str]) -> int:
    """How many values the variables have together: one value stands for all; 0 when they do not fit."""
    several = {lengths[name] for name in names} - {1}
    return max(several, default=1) if len(several) <= 1 else 0
