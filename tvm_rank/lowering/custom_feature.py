"""custom_feature -> kernel column."""

from __future__ import annotations

from typing import Any

import numpy as np

from te_schedules.feature import Column, CustomKind
from tvm_rank.config.types.custom_feature import CustomFeature
from tvm_rank.lowering import bucketizers
from tvm_rank.lowering.fields import FeatureFields
from tvm_rank.lowering.typed_numbers import constants_of
from tvm_rank.runtime.columns import NUMBER, TEXT

TEXTS = ("text", "bytes", "texts")


def column(feature: CustomFeature, fields: FeatureFields, hash_function: str) -> Column:
    """The column of the feature."""
    program = feature.program
    if feature.as_texts:
        rule, ints, arrays = bucketizers.of_text(feature, hash_function)
        arrays["prefix"] = np.frombuffer(feature.prefix.encode(), np.uint8)
        outputs: dict[str, Any] = {"as_texts": True, "bucketizer": rule}
    else:
        outputs, ints, arrays = constants_of(feature, hash_function)
    kind = CustomKind(
        parameters=program.parameters,
        scalars=program.scalars,
        returns=program.returns,
        variables=program.variables,
        body=program.body,
        **outputs,
    )
    pairs = zip(feature.fields, program.parameters, strict=True)
    rows = tuple(fields.row(field, TEXT if kind in TEXTS else NUMBER) for field, (_, kind) in pairs)
    return Column(name=feature.name, kind=kind, fields=rows, ints=ints, arrays=arrays)
