"""From a feature of the configuration to a column of a kernel: one file per feature type, listed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from te_schedules.feature import Column, ConstantKind, NumberTextKind
from tvm_rank.config.spec import Feature
from tvm_rank.lowering import (
    bool_mask_feature,
    combine_feature,
    combo_feature,
    custom_feature,
    expr_feature,
    id_feature,
    kv_dot_product,
    lookup_feature,
    match_feature,
    overlap_feature,
    raw_feature,
    slice_feature,
)
from tvm_rank.lowering.bucketizers import ALL_IDS
from tvm_rank.lowering.fields import FeatureFields, FieldTable

LOWERINGS: dict[str, Callable[..., Column]] = {
    "id_feature": id_feature.column,
    "raw_feature": raw_feature.column,
    "combo_feature": combo_feature.column,
    "overlap_feature": overlap_feature.column,
    "lookup_feature": lookup_feature.column,
    "match_feature": match_feature.column,
    "kv_dot_product": kv_dot_product.column,
    "expr_feature": expr_feature.column,
    "combine_feature": combine_feature.column,
    "bool_mask_feature": bool_mask_feature.column,
    "slice_feature": slice_feature.column,
    "custom_feature": custom_feature.column,
}


def column_of(feature: Feature, fields: FieldTable, hash_function: str) -> Column:
    """The kernel column of a feature; its fields are entered into `fields`."""
    own = FeatureFields(fields, feature)
    column = LOWERINGS[feature.stem](feature, own, hash_function)
    ints = {} if feature.bucketizer is None else {"id_space": feature.bucketizer.id_space}
    column = replace(column, inputs=tuple(own.inputs), ints={**column.ints, **ints})
    if feature.sequence is None:
        return column
    ints = {"sequence_length": feature.sequence.length or ALL_IDS, "sequence_delim": ord(feature.sequence.delimiter)}
    sequence = tuple(own.elements[number] for number in column.fields)
    return replace(column, ints={**column.ints, **ints}, sequence=sequence)


def made_beside(fields: FieldTable) -> dict[str, Column]:
    """What features read that is no feature, by the names under which they read it: constants, and the texts of a feature's numbers."""
    return _constants(fields) | {name: _number_text(name, feature) for name, feature in fields.number_texts.items()}


def _number_text(name: str, feature: Feature) -> Column:
    is_sequence = feature.sequence is not None
    return Column(
        name=name,
        kind=NumberTextKind(),
        fields=(-1,),
        inputs=(feature.name,),
        sequence=(True,) if is_sequence else None,
        ints={
            "limit": ALL_IDS,
            "single": int(feature.numbers == 1),
            **({"sequence_length": ALL_IDS, "sequence_delim": 0} if is_sequence else {}),
        },
        arrays={"default_text": np.zeros(0, np.uint8)},
    )


def _constants(fields: FieldTable) -> dict[str, Column]:
    return {
        name: Column(
            name=name,
            kind=ConstantKind(),
            fields=(),
            ints={"limit": 1, "single": 1},
            arrays={"text": np.frombuffer(text.encode(), np.uint8), "default_text": np.zeros(0, np.uint8)},
        )
        for name, text in fields.constants.items()
    }
