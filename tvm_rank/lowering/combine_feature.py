"""combine_feature -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.bucketize import vocabulary
from te_schedules.feature import Column, CombineKind
from te_schedules.feature.combine import COMBINERS
from tvm_rank.config.types.combine_feature import CombineFeature
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.lowering.typed_numbers import constants_of
from tvm_rank.ops.reference import hash_std
from tvm_rank.runtime.columns import NUMBER, TEXT


def column(feature: CombineFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature."""
    typed, ints, arrays = constants_of(feature, hash_function)
    ints["combiner"] = COMBINERS.index(feature.combiner)
    is_mapped = feature.value_map is not None
    if feature.value_map is not None:
        arrays |= vocabulary.arrays([(word.encode(), k) for k, (word, _) in enumerate(feature.value_map)], hash_std)
        arrays["mapped"] = np.array([number for _, number in feature.value_map], np.float64)
    row = fields.row(feature.fields[0], TEXT if is_mapped else NUMBER)
    return Column(name=feature.name, kind=CombineKind(mapped=is_mapped, **typed), fields=(row,), ints=ints, arrays=arrays)
