"""What is known of one feature for one request and one item: from its inputs to its ids or numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm_rank.config.spec import Boundaries, Expression, Feature, HashBucket, Log10, MinMax, NumBuckets, Vocabulary, ZScore


@dataclass(frozen=True, kw_only=True)
class InputTrace:
    """An input: its side and name, the type of its column, and its raw value in this row; for a feature that is read, its values."""

    side: str
    name: str
    type: str
    value: Any


@dataclass(frozen=True, kw_only=True)
class ValueTrace:
    """One value of the feature, from what the inputs gave (`text`, or `number` before the normalizer) to what a model reads.

    `normalized` is the number that is compared with boundaries, `is_default` says that it is the default value and not of the row.
    """

    text: str | None = None
    number: float | None = None
    normalized: float | None = None
    id: int | None = None
    weight: float | None = None
    is_default: bool = False


@dataclass(frozen=True, kw_only=True)
class FeatureTrace:
    """One feature. `missing` says why the row gives no value, "" when it gives one; `differences` are the steps at which the compiled
    program and the reference disagree, `unconfirmed` those that the program does not show; `error` is why the feature refuses the row.
    """

    name: str
    type: str
    rule: str
    inputs: tuple[InputTrace, ...]
    values: tuple[ValueTrace, ...] = ()
    missing: str = ""
    key_lengths: tuple[int, ...] | None = None
    differences: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, steps that a value lacks left out."""
        entry = dataclasses.asdict(self)
        entry["values"] = [{key: value for key, value in one.items() if value is not None} for one in entry["values"]]
        return {key: value for key, value in entry.items() if value is not None}


def rule_of(feature: Feature, hash_function: str) -> str:
    """The normalizer and the bucketizer in words."""
    parts = [_normalizer(getattr(feature, "normalizer", None)), _bucketizer(feature, hash_function)]
    return ", ".join(part for part in parts if part)


def _normalizer(normalizer: Any) -> str:
    if isinstance(normalizer, MinMax):
        return f"minmax {normalizer.min:g}..{normalizer.max:g}"
    if isinstance(normalizer, ZScore):
        return f"zscore mean {normalizer.mean:g} sd {normalizer.standard_deviation:g}"
    if isinstance(normalizer, Log10):
        return f"log10 above {normalizer.threshold:g}"
    return normalizer.text if isinstance(normalizer, Expression) else ""


def _bucketizer(feature: Feature, hash_function: str) -> str:
    rule = feature.bucketizer
    if isinstance(rule, HashBucket):
        return f"hash {hash_function} mod {rule.size}"
    if isinstance(rule, NumBuckets):
        return f"integer below {rule.size}"
    if isinstance(rule, Vocabulary):
        return f"vocabulary of {len(rule.entries)}, else {rule.default}"
    return f"{len(rule.values)} boundaries" if isinstance(rule, Boundaries) else ""


def why_missing(feature: Feature, inputs: Sequence[InputTrace]) -> str:
    """Why a row gives no value: an input is null, or empty, or nothing was found in what they hold."""
    for what, is_so in (("null", lambda value: value is None), ("empty", _is_empty)):
        named = [f"{one.side}:{one.name}" for one in inputs if is_so(one.value)]
        if named:
            return f"{what}: {', '.join(named)}"
    return f"{feature.stem} finds no value in its inputs"


def _is_empty(value: Any) -> bool:
    return value == "" or (isinstance(value, (list, dict)) and all(one in (None, "") for one in value))
