"""One feature of fg.json -> one frozen Feature, or problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tvm_rank.config import keys
from tvm_rank.config.bucketizer import read_boundaries, read_id_bucketizer
from tvm_rank.config.normalizer import parse_normalizer
from tvm_rank.config.number import parse_float, parse_int64
from tvm_rank.config.reader import Section, describe, did_you_mean, one_of
from tvm_rank.config.spec import (
    ComboFeature,
    Embedding,
    Feature,
    Field,
    IdFeature,
    Normalizer,
    NumBuckets,
    OverlapFeature,
    RawFeature,
)

DEFAULT_SEPARATOR = "\x1d"


class FeatureReader:
    """Reads the features of one file. `separator` is the file's own default, `base_dir` the folder of its vocabularies."""

    def __init__(self, base_dir: Path, separator: str):
        self._base_dir, self._separator = base_dir, separator

    def read(self, section: Section) -> Feature | None:
        """The feature, which is whole only if no problem was noted; None when its type cannot be read."""
        if "sequence_name" in section:
            section.problem("sequence_name", f"sequence groups are not supported yet; supported: {one_of(keys.FEATURE_TYPES)}")
            return None
        kind = _feature_type(section)
        if not kind:
            return None
        _check_keys(section, kind)
        _refuse_unsupported(section)
        section.check_choice("value_type", keys.VALUE_TYPES)
        common = {
            "name": section.required_text("feature_name", "give the feature a name"),
            "path": section.path,
            "separators": separators(section, self._separator),
            "group": section.required_text("group", "name the group, or remove the key") if "group" in section else None,
        }
        read = {
            "id_feature": self._id,
            "raw_feature": self._raw,
            "combo_feature": self._combo,
            "overlap_feature": self._overlap,
        }
        return read[kind](section, common)

    def _id(self, section: Section, common: dict[str, Any]) -> Feature:
        return IdFeature(
            **common,
            **self._of_ids(section, common["name"], joined=False),
            fields=_fields(section, "expression"),
            weighted=section.boolean("weighted", False),
        )

    def _combo(self, section: Section, common: dict[str, Any]) -> Feature:
        return ComboFeature(**common, **self._of_ids(section, common["name"], joined=True), fields=_combo_fields(section))

    def _of_ids(self, section: Section, name: str, *, joined: bool) -> dict[str, Any]:
        bucketizer = read_id_bucketizer(section, self._base_dir, joined=joined)
        default = section.text("default_value", "")
        if isinstance(bucketizer, NumBuckets) and default and parse_int64(default.encode()) is None:
            section.problem("default_value", f'num_buckets needs an integer, got {describe(default)}; write one, or "" for none')
        return {
            "bucketizer": bucketizer,
            "default_value": default,
            "value_dim": section.integer("value_dim", minimum=0, default=0),
            "prefix": f"{name}_" if section.boolean("need_prefix", False) else "",
            "embedding": _embedding(section, name),
        }

    def _raw(self, section: Section, common: dict[str, Any]) -> Feature:
        value_dim = section.integer("value_dim", minimum=1, maximum=2**31 - 1, default=1)
        default = section.text("default_value", "0")
        return RawFeature(
            **common,
            **_of_numbers(section, common["name"]),
            fields=_fields(section, "expression"),
            default_value=default,
            value_dim=value_dim,
            defaults=_default_numbers(section, default, common["separators"], value_dim),
        )

    def _overlap(self, section: Section, common: dict[str, Any]) -> Feature:
        default = section.text("default_value", "0") or "0"
        return OverlapFeature(
            **common,
            **_of_numbers(section, common["name"]),
            fields=(*_fields(section, "query"), *_fields(section, "title")),
            default_value=default,
            value_dim=section.integer("value_dim", minimum=1, maximum=1, default=1),
            default=(_default_numbers(section, default, (), 1) or (0.0,))[0],
            method=_method(section),
        )


def _feature_type(section: Section) -> str:
    kind = section.required_text("feature_type", f"write {one_of(keys.FEATURE_TYPES)}")
    if kind in keys.UNSUPPORTED_TYPES:
        section.problem("feature_type", f"{kind!r} is not supported yet; supported: {one_of(keys.FEATURE_TYPES)}")
    elif kind and kind not in keys.FEATURE_TYPES:
        hint = did_you_mean(kind, (*keys.FEATURE_TYPES, *keys.UNSUPPORTED_TYPES))
        section.problem("feature_type", f"unknown type {kind!r}{hint}; supported: {one_of(keys.FEATURE_TYPES)}")
    return kind if kind in keys.FEATURE_TYPES else ""


def _check_keys(section: Section, kind: str) -> None:
    allowed = keys.TYPE_KEYS[kind]
    for key in section.known_keys():
        if key in allowed or key in keys.IGNORED:
            continue
        owners = [other for other in keys.FEATURE_TYPES if key in keys.TYPE_KEYS[other]]
        if owners:
            section.problem(key, f"belongs to {' and '.join(owners)}, not to {kind}; remove it")
        elif key in keys.LEGACY_HINTS:
            section.problem(key, f"is a key of the legacy engine; {keys.LEGACY_HINTS[key]}")
        else:
            hint = did_you_mean(key, (*allowed, *keys.ALIASES)) or f"; {kind} takes {', '.join(sorted(allowed))}"
            section.problem(key, f"unknown key{hint}")


def _refuse_unsupported(section: Section) -> None:
    for key in keys.SEQUENCE_KEYS:
        if key in section and (key != "is_sequence" or section.boolean(key, False)):
            section.problem(key, "sequence features are not supported yet; remove it")
    if section.boolean("stub_type", False):
        section.problem("stub_type", "features that only feed other features are not supported yet; remove it")


def separators(section: Section, default: str, key: str = "separator") -> tuple[str, ...]:
    """chr(29), and the configured separator if it is another: it splits in addition."""
    separator = section.text(key, default)
    if len(separator) != 1 or not separator.isascii():
        section.problem(key, f"wanted exactly one ASCII character, got {describe(separator)}")
        return (DEFAULT_SEPARATOR,)
    return (DEFAULT_SEPARATOR,) if separator == DEFAULT_SEPARATOR else (DEFAULT_SEPARATOR, separator)


def _fields(section: Section, key: str) -> tuple[Field, ...]:
    text = section.required_text(key, "name an input column, for example 'user:age'")
    field = _field(section, key, text) if text else None
    return (field,) if field else ()


def _combo_fields(section: Section) -> tuple[Field, ...]:
    if "expression" not in section:
        section.missing("expression", "name the input columns, for example ['user:city', 'item:category']")
        return ()
    values = section.get("expression")
    if not isinstance(values, list) or len(values) < 2:
        got = describe(values) if not isinstance(values, list) else f"a list of {len(values)}"
        section.problem("expression", f"wanted a list of at least two input columns, got {got}")
        return ()
    fields = []
    for index, value in enumerate(values):
        if isinstance(value, str):
            fields.append(_field(section, "expression", value, f"at [{index}]: "))
        else:
            section.problem("expression", f"at [{index}]: wanted text, got {describe(value)}")
    return tuple(field for field in fields if field)


def _field(section: Section, key: str, text: str, place: str = "") -> Field | None:
    side, colon, name = text.partition(":")
    if side in ("feature", "const") and colon:
        section.problem(key, f"{place}inputs of the kind '{side}:' are not supported yet; use {one_of(keys.SIDES)}")
    elif not colon or side not in keys.SIDES:
        hint = did_you_mean(side, keys.SIDES) if colon else ""
        section.problem(key, f"{place}wanted side:name with the side {one_of(keys.SIDES)}, got {text!r}{hint}")
    elif not name:
        section.problem(key, f"{place}wanted the name of a column after '{side}:'")
    else:
        return Field(side=side, name=name)
    return None


def _of_numbers(section: Section, name: str) -> dict[str, Any]:
    section.boolean("need_prefix", False)  # numbers have no text to put it before
    bucketizer = read_boundaries(section)
    return {
        "normalizer": _normalizer(section),
        "bucketizer": bucketizer,
        "embedding": _embedding(section, name, has_ids="boundaries" in section),
    }


def _normalizer(section: Section) -> Normalizer | None:
    text = section.text("normalizer", "")
    if not text:
        return None
    try:
        return parse_normalizer(text)
    except ValueError as error:
        section.problem("normalizer", str(error))
        return None


def _default_numbers(section: Section, text: str, splitting: tuple[str, ...], value_dim: int) -> tuple[float, ...]:
    for separator in splitting[1:]:
        text = text.replace(separator, DEFAULT_SEPARATOR)
    parts = [part for part in text.split(DEFAULT_SEPARATOR) if part]
    numbers = [parse_float(part.encode()) for part in parts]
    if None in numbers:
        section.problem("default_value", f"{parts[numbers.index(None)]!r} is not a number")
        return ()
    if text and not parts:
        section.problem("default_value", 'holds separators only; write a number, or "" for none')
    if len(numbers) not in (0, 1, value_dim):
        section.problem("default_value", f"{len(numbers)} numbers for value_dim {value_dim}; give {value_dim}, or one for all")
        return ()
    with np.errstate(over="ignore"):
        rounded = tuple(float(np.float32(number)) for number in numbers)  # type: ignore[arg-type]
    return rounded * value_dim if len(rounded) == 1 else rounded


def _method(section: Section) -> str:
    method = section.required_text("method", f"write {one_of(keys.METHODS)}")
    if method in keys.LEGACY_METHODS:
        section.problem("method", f"{method!r} is a method of the legacy engine; allowed: {', '.join(keys.METHODS)}")
    elif method and method not in keys.METHODS:
        section.problem(
            "method", f"unknown value {method!r}{did_you_mean(method, keys.METHODS)}; allowed: {', '.join(keys.METHODS)}"
        )
    return method


def _embedding(section: Section, name: str, *, has_ids: bool = True) -> Embedding | None:
    combiner = section.choice("combiner", keys.COMBINERS, "mean", {"avg": "mean"})
    table = section.required_text("embedding_name", "name the table, or remove the key") if "embedding_name" in section else name
    dim = section.integer("embedding_dim", minimum=1, maximum=2**31 - 1, default=0)
    if "embedding_dim" in section and not has_ids:
        section.problem("embedding_dim", "a number has no id to look up; add 'boundaries', or remove it")
    if "embedding_name" in section and "embedding_dim" not in section:
        section.missing("embedding_dim", f"{section.where('embedding_name')} names a table of unknown width")
    return Embedding(table=table, dim=dim, combiner=combiner) if dim and has_ids else None
