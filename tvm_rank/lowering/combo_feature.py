"""combo_feature -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.feature import Column, ComboKind
from tvm_rank.config.types.combo_feature import ComboFeature
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.runtime.columns import TEXT


def column(feature: ComboFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature."""
    rule, ints, arrays = bucketizers.of_text(feature, hash_function)
    arrays["prefix"] = np.frombuffer(feature.prefix.encode(), np.uint8)
    rows = tuple(fields.row(field, TEXT) for field in feature.fields)
    for k, (most, front) in enumerate(zip(feature.most, feature.front, strict=True)):
        ints |= {f"most{k}": most, f"front{k}": int(front)}
    kind = ComboKind(bucketizer=rule, field_count=len(rows), pruned=bool(feature.most), ordered=feature.ordered)
    return Column(name=feature.name, kind=kind, fields=rows, ints=ints, arrays=arrays)
