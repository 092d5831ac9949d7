"""slice_feature -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.feature import Column, SliceKind
from tvm_rank.config.number import INT64_MAX
from tvm_rank.config.types.slice_feature import SliceFeature
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.runtime.columns import TEXT


def column(feature: SliceFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature."""
    rule, ints, arrays = bucketizers.of_text(feature, hash_function)
    arrays["prefix"] = np.frombuffer(feature.prefix.encode(), np.uint8)
    ints |= {"start": feature.start, "end": INT64_MAX if feature.end is None else feature.end}
    kind = SliceKind(bucketizer=rule, characters=feature.unit == "character", prefixed=bool(feature.prefix))
    row = fields.row(feature.fields[0], TEXT)
    return Column(name=feature.name, kind=kind, fields=(row,), ints=ints, arrays=arrays)
