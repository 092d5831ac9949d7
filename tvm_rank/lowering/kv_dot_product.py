"""kv_dot_product -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.feature import Column, KvDotKind
from tvm_rank.config.spec import Boundaries
from tvm_rank.config.types.kv_dot_product import KvDotProduct
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.lowering.normalizers import shape_of
from tvm_rank.runtime.columns import WEIGHTED


def column(feature: KvDotProduct, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature; the hash function does not matter to it."""
    del hash_function
    shape, numbers = shape_of(feature.normalizer)
    rows = tuple(fields.row(field, WEIGHTED) for field in feature.fields)
    ints = {"dimension": 1, "separator": ord(feature.separators[-1]), "delimiter": ord(feature.delimiter)}
    arrays = {"normalizer": numbers, "missing": np.array([feature.default], np.float32).astype(np.float64)}
    if isinstance(feature.bucketizer, Boundaries):
        more, tables = bucketizers.of_number(feature.bucketizer, [])
        ints |= more
        arrays |= tables
    kind = KvDotKind(normalizer=shape, bucketized=feature.bucketizer is not None)
    return Column(name=feature.name, kind=kind, fields=rows, ints=ints, arrays=arrays)
