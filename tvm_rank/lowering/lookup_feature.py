"""lookup_feature -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.feature import Column, LookupKind
from te_schedules.feature.combine import COMBINERS
from tvm_rank.config.spec import Boundaries, NumBuckets
from tvm_rank.config.types.lookup_feature import LookupFeature
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.lowering.normalizers import shape_of
from tvm_rank.runtime.columns import MAP_NUMBER, MAP_TEXT, TEXT


def column(feature: LookupFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature."""
    as_text = feature.discrete and not feature.weighted
    rows = (fields.row(feature.fields[0], MAP_TEXT if as_text else MAP_NUMBER), fields.row(feature.fields[1], TEXT))
    kind, ints, arrays = _texts(feature, hash_function) if feature.discrete else _numbers(feature)
    ints = {"separator": ord(feature.separators[-1]), "map_separator": ord(feature.map_separators[-1])} | ints
    return Column(name=feature.name, kind=kind, fields=rows, ints=ints, arrays=arrays)


def _texts(feature: LookupFeature, hash_function: str) -> tuple[LookupKind, dict[str, int], dict[str, np.ndarray]]:
    rule, ints, arrays = bucketizers.of_text(feature, hash_function)
    ints["limit"] = bucketizers.ALL_IDS  # one id a hit, whatever value_dim says
    prefixed = bool(feature.prefix) and not isinstance(feature.bucketizer, NumBuckets)
    arrays["prefix"] = np.frombuffer(feature.prefix.encode() if prefixed else b"", np.uint8)
    arrays["miss"] = np.frombuffer((feature.miss or "").encode(), np.uint8)
    ints["filled"] = int(feature.miss is not None)
    joined = prefixed or feature.with_key  # a key is joined behind any prefix, also an empty one
    kind = LookupKind(discrete=True, bucketizer=rule, prefixed=joined, with_key=feature.with_key, weighted=feature.weighted)
    return kind, ints, arrays


def _numbers(feature: LookupFeature) -> tuple[LookupKind, dict[str, int], dict[str, np.ndarray]]:
    shape, numbers = shape_of(feature.normalizer)
    defaults = list(feature.defaults)
    ints: dict[str, int] = {"dimension": feature.value_dim, "combiner": COMBINERS.index(feature.combiner or "sum")}
    arrays = {"normalizer": numbers}
    if isinstance(feature.bucketizer, Boundaries):
        more, tables = bucketizers.of_number(feature.bucketizer, defaults)
        ints |= more
        arrays |= tables
    else:
        arrays["defaults"] = np.array(defaults or [0.0] * feature.value_dim, np.float32).astype(np.float64)
    bucketized, vector = feature.bucketizer is not None, feature.value_dim > 1
    return LookupKind(single=bool(feature.combiner), normalizer=shape, bucketized=bucketized, vector=vector), ints, arrays
