"""bool_mask_feature -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.feature import BoolMaskKind, Column
from tvm_rank.config.types.bool_mask_feature import BoolMaskFeature
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.runtime.columns import TEXT


def column(feature: BoolMaskFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature."""
    rule, ints, arrays = bucketizers.of_text(feature, hash_function)
    arrays["prefix"] = np.frombuffer(feature.prefix.encode(), np.uint8)
    rows = tuple(fields.row(field, TEXT) for field in feature.fields)
    kind = BoolMaskKind(bucketizer=rule, prefixed=bool(feature.prefix))
    return Column(name=feature.name, kind=kind, fields=rows, ints=ints, arrays=arrays)
