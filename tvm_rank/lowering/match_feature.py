"""match_feature -> kernel column."""

from __future__ import annotations

from typing import Any

import numpy as np

from te_schedules.feature import Column, MatchKind
from te_schedules.feature.match_feature import EVERY, FIELD, LITERAL
from tvm_rank.config.spec import Boundaries, Field, NumBuckets
from tvm_rank.config.types.match_feature import ALL, MULTIHIT, MatchFeature
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.lowering.normalizers import shape_of
from tvm_rank.runtime.columns import NESTED, TEXT


def column(feature: MatchFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature."""
    rows = (fields.row(feature.fields[0], NESTED), *(fields.row(field, TEXT) for field in feature.fields[1:]))
    kind, ints, arrays = _texts(feature, hash_function) if feature.discrete else _numbers(feature)
    ints["separator"] = ord(feature.separators[-1])
    literal = np.frombuffer(ALL.encode(), np.uint8)
    return Column(name=feature.name, kind=kind, fields=rows, ints=ints, arrays=arrays | {"category": literal, "item": literal})


def _sides(feature: MatchFeature) -> dict[str, Any]:
    """Where the kernel finds categories and items."""
    unnamed = EVERY if feature.match_type == MULTIHIT else LITERAL
    return {
        "category": FIELD if isinstance(feature.category, Field) else unnamed,
        "item": FIELD if isinstance(feature.item, Field) else unnamed,
    }


def _texts(feature: MatchFeature, hash_function: str) -> tuple[MatchKind, dict[str, int], dict[str, np.ndarray]]:
    rule, ints, arrays = bucketizers.of_text(feature, hash_function)
    ints["limit"] = bucketizers.ALL_IDS  # one id a hit, whatever value_dim says
    prefixed = bool(feature.prefix) and not isinstance(feature.bucketizer, NumBuckets)
    arrays["prefix"] = np.frombuffer(feature.prefix.encode() if prefixed else b"", np.uint8)
    shown: dict[str, Any] = {"show_category": feature.show_category, "show_item": feature.show_item}
    # parts are joined behind any prefix, also an empty one
    joined = prefixed or any(shown.values())
    kind = MatchKind(discrete=True, bucketizer=rule, prefixed=joined, weighted=feature.weighted, **shown, **_sides(feature))
    return kind, ints, arrays


def _numbers(feature: MatchFeature) -> tuple[MatchKind, dict[str, int], dict[str, np.ndarray]]:
    shape, numbers = shape_of(feature.normalizer)
    ints: dict[str, int] = {"dimension": 1}
    arrays = {"normalizer": numbers}
    if isinstance(feature.bucketizer, Boundaries):
        more, tables = bucketizers.of_number(feature.bucketizer, list(feature.defaults))
        ints |= more
        arrays |= tables
    else:
        arrays["missing"] = np.array(feature.defaults or (0.0,), np.float32).astype(np.float64)
    return MatchKind(normalizer=shape, bucketized=feature.bucketizer is not None, **_sides(feature)), ints, arrays
