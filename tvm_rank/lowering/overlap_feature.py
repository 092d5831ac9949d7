"""overlap_feature -> kernel column."""

from __future__ import annotations

import numpy as np

from te_schedules.feature import Column, OverlapKind
from tvm_rank.config.spec import Boundaries
from tvm_rank.config.types.overlap_feature import WORD_METHODS, OverlapFeature
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.lowering.normalizers import shape_of
from tvm_rank.runtime.columns import TEXT


def column(feature: OverlapFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature; the hash function matters to texts alone."""
    if feature.discrete:
        return _texts(feature, fields, hash_function)
    shape, numbers = shape_of(feature.normalizer)
    rows = tuple(fields.row(field, TEXT) for field in feature.fields)
    ints = {"dimension": 1, "separator": ord(feature.separators[-1])}
    arrays = {"normalizer": numbers, "missing": np.array([feature.default], np.float32).astype(np.float64)}
    if isinstance(feature.bucketizer, Boundaries):
        more, tables = bucketizers.of_number(feature.bucketizer, [])
        ints |= more
        arrays |= tables
    kind = OverlapKind(method=_method(feature), work=feature.work, normalizer=shape, bucketized=feature.bucketizer is not None)
    return Column(name=feature.name, kind=kind, fields=rows, ints=ints, arrays=arrays)


def _texts(feature: OverlapFeature, fields: FeatureFields, hash_function: str) -> Column:
    rule, ints, arrays = bucketizers.of_text(feature, hash_function)
    arrays["prefix"] = np.frombuffer(feature.prefix.encode(), np.uint8)
    rows = tuple(fields.row(field, TEXT) for field in feature.fields)
    kind = OverlapKind(method=_method(feature), work=feature.work, discrete=True, bucketizer=rule)
    return Column(name=feature.name, kind=kind, fields=rows, ints=ints | {"joiner": ord(feature.joiner)}, arrays=arrays)


def _method(feature: OverlapFeature) -> str:
    """The kernel's name of the method: ratios of the older dialect are integers, and its words are counted if they are no texts."""
    if not feature.legacy:
        return feature.method
    if not feature.discrete and feature.method in WORD_METHODS:
        return "common_words" if feature.method.startswith("common") else "diff_words"
    return {"query_common_ratio": "query_tenths", "title_common_ratio": "title_hundredths"}.get(feature.method, feature.method)
