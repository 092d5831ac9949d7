"""id_feature -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.feature import Column, IdKind
from tvm_rank.config.types.id_feature import IdFeature
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.runtime.columns import TEXT, WEIGHTED


def column(feature: IdFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature."""
    rule, ints, arrays = bucketizers.of_text(feature, hash_function)
    kind = IdKind(bucketizer=rule, prefixed=bool(feature.prefix), weighted=feature.weighted)
    if feature.prefix:
        arrays["prefix"] = np.frombuffer(feature.prefix.encode(), np.uint8)
    row = fields.row(feature.fields[0], WEIGHTED if feature.weighted else TEXT)
    return Column(name=feature.name, kind=kind, fields=(row,), ints=ints, arrays=arrays)
