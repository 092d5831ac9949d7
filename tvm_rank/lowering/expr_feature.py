"""expr_feature -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.feature import Column, ExprKind
from te_schedules.feature.expr_memory import OPERATIONS
from te_schedules.feature.lanes import identity
from tvm_rank.config.types.expr_feature import ExprFeature
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.lowering.formulas import FormulaShape
from tvm_rank.lowering.typed_numbers import constants_of
from tvm_rank.runtime.columns import NUMBER


def column(feature: ExprFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature."""
    typed, ints, arrays = constants_of(feature, hash_function)
    shape = FormulaShape(feature.tree, feature.variables)
    rows = tuple(fields.row(field, NUMBER) for field in feature.fields)
    arrays["numbers"] = np.array(shape.numbers, np.float64)
    arrays["fill"] = np.array([np.nan if feature.fill_missing is None else feature.fill_missing], np.float64)
    passes = [[OPERATIONS.index(name), identity(tree), _bits(variables)] for name, tree, variables in shape.reductions]
    arrays["reductions"] = np.array(passes, np.int64).reshape(-1)
    ints |= {"formula": identity(shape.tree), "elements": _bits(shape.elements)}
    trees = (shape.tree, *(tree for name, tree, _ in shape.reductions if name != "len"))
    kind = ExprKind(variables=len(rows), **typed)
    return Column(name=feature.name, kind=kind, fields=rows, ints=ints, arrays=arrays, trees=trees)


def _bits(variables: tuple[int, ...]) -> int:
    return sum(1 << v for v in variables)
