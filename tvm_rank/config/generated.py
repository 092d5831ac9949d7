"""bucketize_only: the inputs are feature values that were generated before, one column for each feature; what is left is bucketizing."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from tvm_rank.config.nodes import Variable
from tvm_rank.config.number import parse_float
from tvm_rank.config.spec import Feature, FeatureConfig, Field
from tvm_rank.config.typed_numbers import TypedNumbers
from tvm_rank.config.types.expr_feature import ExprFeature
from tvm_rank.config.types.id_feature import IdFeature
from tvm_rank.config.types.raw_feature import RawFeature
from tvm_rank.config.types.tokenize_feature import TokenizeFeature


def of_generated(config: FeatureConfig) -> FeatureConfig:
    """The configuration that takes each feature's values from a column of its name, and only bucketizes them.

    Texts become ids without prefix; numbers are neither computed nor normalized, and have boundaries or another bucketizer, or go out as
    they are. A missing value has the feature's default. Stubs are left out.
    """
    return replace(config, features=tuple(_generated(feature) for feature in config.features if not feature.stub))


def _generated(feature: Feature) -> Feature:
    common = {f.name: getattr(feature, f.name) for f in fields(Feature)}
    common["fields"] = (Field(side="user" if feature.is_request else "item", name=feature.name),)
    if feature.sequence is not None:
        common["sequence"] = replace(feature.sequence, splits=(True,))
    if isinstance(feature, TypedNumbers) and feature.numbers:
        return _of_typed_numbers(feature, common)
    if feature.numbers:
        return RawFeature(**common, defaults=_defaults(feature))
    if isinstance(feature, TokenizeFeature):
        common["default_value"] = ""  # a text that would have to be tokenized
    return IdFeature(**common, weighted=feature.has_weights)


def _of_typed_numbers(feature: TypedNumbers, common: dict) -> ExprFeature:
    """The formula that is a variable, so that numbers of every value_type have their bucketizers."""
    return ExprFeature(
        **common, formula="x", tree=Variable("x"), variables=("x",), value_type=feature.value_type, defaults=feature.defaults
    )


def _defaults(feature: Feature) -> tuple[float, ...]:
    if isinstance(feature, RawFeature):
        return feature.defaults
    number = parse_float(feature.default_value.encode())
    return () if number is None else (float(np.float32(number)),) * feature.numbers
