"""Feature types as kernels see them: one kind per file, listed here by the stem of their files."""

from __future__ import annotations

from te_schedules.feature.bool_mask_feature import BoolMaskKind
from te_schedules.feature.combine_feature import CombineKind
from te_schedules.feature.combo_feature import ComboKind
from te_schedules.feature.constant import ConstantKind
from te_schedules.feature.custom_feature import CustomKind
from te_schedules.feature.expr_feature import ExprKind
from te_schedules.feature.id_feature import IdKind
from te_schedules.feature.kept_values import KeptKind
from te_schedules.feature.kind import Column, Kind, Scope
from te_schedules.feature.kv_dot_product import KvDotKind
from te_schedules.feature.lookup_feature import LookupKind
from te_schedules.feature.match_feature import MatchKind
from te_schedules.feature.number_text import NumberTextKind
from te_schedules.feature.overlap_feature import OverlapKind
from te_schedules.feature.raw_feature import RawKind
from te_schedules.feature.slice_feature import SliceKind

KINDS: dict[str, type] = {
    kind.stem: kind
    for kind in (
        IdKind,
        RawKind,
        ComboKind,
        OverlapKind,
        LookupKind,
        MatchKind,
        KvDotKind,
        ExprKind,
        CombineKind,
        BoolMaskKind,
        SliceKind,
        CustomKind,
    )
}

OPERATORS: dict[str, type] = {
    **KINDS,
    **{kind.stem: kind for kind in (ConstantKind, KeptKind, NumberTextKind)},
}  # with what is no type

__all__ = [
    "KINDS",
    "OPERATORS",
    "BoolMaskKind",
    "Column",
    "CombineKind",
    "ComboKind",
    "ConstantKind",
    "CustomKind",
    "ExprKind",
    "IdKind",
    "KeptKind",
    "Kind",
    "KvDotKind",
    "LookupKind",
    "MatchKind",
    "NumberTextKind",
    "OverlapKind",
    "RawKind",
    "Scope",
    "SliceKind",
]
