"""raw_feature -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.feature import Column, RawKind
from tvm_rank.config.spec import Boundaries
from tvm_rank.config.types.raw_feature import RawFeature
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.lowering.normalizers import shape_of
from tvm_rank.runtime.columns import NUMBER


def column(feature: RawFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature; the hash function does not matter to it."""
    del hash_function
    shape, numbers = shape_of(feature.normalizer)
    defaults = list(feature.defaults)
    ints = {"dimension": feature.value_dim, "separator": ord(feature.separators[-1])}
    arrays = {"normalizer": numbers}
    if isinstance(feature.bucketizer, Boundaries):
        more, tables = bucketizers.of_number(feature.bucketizer, defaults)
        ints |= more | {"null_id": -1 if defaults else bucketizers.bucket_of(feature.bucketizer, 0.0)}
        arrays |= tables
    else:
        filled = np.array(defaults or [0.0] * feature.value_dim, np.float32)
        arrays["defaults"] = filled.astype(np.float64)
    kind = RawKind(normalizer=shape, bucketized=feature.bucketizer is not None)
    return Column(name=feature.name, kind=kind, fields=(fields.row(feature.fields[0], NUMBER),), ints=ints, arrays=arrays)
