"""A feature taken apart: the same feature stopped at each of its steps, so that the step before can be seen.

texts      the feature without its bucketizer: what is hashed or looked up
    hashed     an id_feature over these texts with the largest hash space: a compiled program has no texts to give, but hashes
numbers    the feature without its bucketizer: what is compared with the boundaries
bare       the same without its normalizer
other      the feature stopped at its first step, with another default: where it differs, the default was used
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tvm_rank.config.dag import in_order
from tvm_rank.config.spec import FEATURE, Feature, FeatureConfig, Field, HashBucket, NumBuckets
from tvm_rank.config.types.id_feature import IdFeature

TEXTS, HASHED, NUMBERS, BARE, OTHER = "texts", "hashed", "numbers", "bare", "other"
LARGEST_HASH = 2**63 - 1
OTHER_TEXT = "\x02another default"


def variant_name(feature: Feature | str, step: str) -> str:
    """The name of a feature that is stopped at a step; no feature of a file has such a one by accident."""
    return f"{feature if isinstance(feature, str) else feature.name}\x01{step}"


def variants(feature: Feature) -> dict[str, Feature]:
    """The feature at each step that it has."""
    start = _stopped(feature)
    made = {OTHER: _with_other_default(start)}
    if feature.numbers:
        if feature.bucketizer is not None:
            made[NUMBERS] = start
        if getattr(feature, "normalizer", None) is not None:
            made[BARE] = dataclasses.replace(start, normalizer=None)  # type: ignore[call-arg]
    elif feature.bucketizer is not None:
        made[TEXTS] = start
        made[HASHED] = _hashed(feature)
    return {step: dataclasses.replace(one, name=variant_name(feature, step)) for step, one in made.items()}


def _stopped(feature: Feature) -> Feature:
    """The feature without its bucketizer and what follows it; num_buckets reads bare values, so there the prefix goes too."""
    changes: dict[str, Any] = {"bucketizer": None, "embedding": None, "stub": not feature.numbers}
    if isinstance(feature.bucketizer, NumBuckets) and hasattr(feature, "prefix"):
        changes["prefix"] = ""
    return dataclasses.replace(feature, **changes)


def _hashed(feature: Feature) -> Feature:
    largest = HashBucket(size=LARGEST_HASH)
    if feature.stem == "text_normalizer":  # whose stub has whole texts, that its reader would split
        return dataclasses.replace(_stopped(feature), bucketizer=largest, stub=False)
    read = Field(side=FEATURE, name=variant_name(feature, TEXTS), request=feature.is_request)
    return IdFeature(name="", path=feature.path, default_value="", fields=(read,), bucketizer=largest, value_dim=0)


def _with_other_default(feature: Feature) -> Feature:
    """The feature with every default that it keeps changed."""
    changes: dict[str, Any] = {"default_value": OTHER_TEXT}
    for field in dataclasses.fields(feature):
        value = getattr(feature, field.name)
        if field.name.startswith("default") and field.name != "default_value":
            if isinstance(value, float):
                changes[field.name] = _other(value)
            elif isinstance(value, tuple):
                numbers = value or (0.0,) * max(1, feature.numbers)
                changes[field.name] = tuple(_other(number) for number in numbers)
    return dataclasses.replace(feature, **changes)


def _other(number: float) -> float:
    return float(np.float32(1.5)) if number != 1.5 else 2.5


def chosen(config: FeatureConfig, names: Sequence[str]) -> FeatureConfig:
    """The configuration with these features (all if none is named) and those that they read."""
    by_name = {feature.name: feature for feature in config.features}
    wanted = set(names) or set(by_name)
    for feature in reversed(in_order(config.features)):
        if feature.name in wanted:
            wanted.update(feature.feature_inputs)
    return dataclasses.replace(config, features=tuple(f for f in config.features if f.name in wanted))


def expanded(config: FeatureConfig, *, steps: Iterable[str], with_stubs: bool) -> FeatureConfig:
    """The configuration with the features at these steps. `with_stubs`: stubs are features too, as references can give them."""
    taken = set(steps)
    features = []
    for feature in config.features:
        features += [feature, *(one for step, one in variants(feature).items() if step in taken)]
    if with_stubs:
        features = [dataclasses.replace(feature, stub=False) for feature in features]
    return dataclasses.replace(config, features=tuple(features))
