"""From a feature of the configuration to a column of a kernel: one file per feature type, listed here."""

from __future__ import annotations

from collections.abc import Callable

from te_schedules.feature import Column
from tvm_rank.config.spec import ComboFeature, Feature, IdFeature, OverlapFeature, RawFeature
from tvm_rank.lowering import combo_feature, id_feature, overlap_feature, raw_feature
from tvm_rank.lowering.fields import FieldTable

LOWERINGS: dict[type[Feature], Callable[..., Column]] = {
    IdFeature: id_feature.column,
    RawFeature: raw_feature.column,
    ComboFeature: combo_feature.column,
    OverlapFeature: overlap_feature.column,
}


def column_of(feature: Feature, fields: FieldTable, hash_function: str) -> Column:
    """The kernel column of a feature; its fields are entered into `fields`."""
    return LOWERINGS[type(feature)](feature, fields, hash_function)
