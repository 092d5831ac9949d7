"""Sequences in fg.json: groups under a `sequence_name`, and features whose type begins with "sequence_" or that say `is_sequence`.

{"sequence_name": "click", "sequence_length": 50, "features": [{"feature_name": "item", "expression": "item:id", ...}]}
->   the feature click__item over the column click__id
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tvm_rank.config.reader import Section, describe, did_you_mean
from tvm_rank.config.spec import CONST, FEATURE, Feature, Field, Sequence

PREFIX = "sequence_"
GROUP_KEYS = ("sequence_name", "sequence_length", "sequence_delim", "sequence_pk", "features", "group", "default_value")
GROUP_IGNORED = ("sequence_column", "sequence_table", "attribute_delim")
"""Of older files: how one text held all attributes of the elements, where here each has a column."""
DELIMITER = ";"
SEVERAL_INPUTS = ("expr_feature", "custom_feature")  # also when one is given


@dataclass(frozen=True, kw_only=True)
class Group:
    """What the features of a group share."""

    name: str
    length: int
    delimiter: str
    members: frozenset[str]  # their names in the file
    default: str = "0"  # of features that give none


def read_group(section: Section, read: Callable[[Section, Group], Feature | None]) -> list[tuple[str, Feature | None]]:
    """(path, feature or None) of each feature of a group, by `read`."""
    for key in section.known_keys():
        if key not in GROUP_KEYS and key not in GROUP_IGNORED:
            section.problem(key, f"unknown key of a sequence group{did_you_mean(key, GROUP_KEYS)}")
    values = section.get("features") if "features" in section else []
    if not isinstance(values, list) or not values:
        section.problem("features", f"wanted a list of at least one feature, got {describe(values)}")
        return []
    group = Group(
        name=section.required_text("sequence_name", "name the sequence"),
        length=_length(section, 0),
        delimiter=_delimiter(section, DELIMITER),
        members=frozenset(str(value.get("feature_name")) for value in values if isinstance(value, dict)),
        default=section.text("default_value", "") or "0",
    )
    read_features: list[tuple[str, Feature | None]] = []
    for index, value in enumerate(values):
        inner = section.inside("features", index, value)
        read_features.append((f"{section.path}.features[{index}]", read(inner, group) if inner else None))
    return read_features


def is_sequence(section: Section) -> bool:
    """True when a feature by itself is a sequence."""
    kind = section.get("feature_type") if "feature_type" in section else ""
    return section.boolean("is_sequence", False) or (isinstance(kind, str) and kind.startswith(PREFIX))


def as_member(section: Section, group: Group | None) -> Section:
    """The section as its feature type reads it: of the plain type, with a default for empty elements."""
    kind = section.get("feature_type") if "feature_type" in section else None
    if isinstance(kind, str):
        section = section.with_value("feature_type", kind.removeprefix(PREFIX))
    if "default_value" not in section or section.get("default_value") == "":
        section = section.with_value("default_value", group.default if group else "0")
    return section


def as_sequence(feature: Feature, section: Section, group: Group | None, *, splits_all: bool) -> Feature:
    """The feature, element by element. `splits_all`: inputs of the request that do not belong to the group are sequences too."""
    length = _length(section, group.length if group else 0)
    delimiter = _delimiter(section, group.delimiter if group else DELIMITER)
    listed = _sequence_fields(section)
    fields, splits = [], []
    for field in feature.fields:
        own = group is None or _belongs(feature, field, group, listed)
        fields.append(_in_group(field, group) if group and own else field)
        splits.append(field.side != CONST and (own or splits_all))
    changed: dict[str, Any] = {
        "fields": tuple(fields),
        "sequence": Sequence(length=length, delimiter=delimiter, splits=tuple(splits)),
    }
    if group:
        changed |= {"name": f"{group.name}__{feature.name}", "group": feature.group or group.name}
        if feature.embedding and "embedding_name" not in section:
            changed["embedding"] = replace(feature.embedding, table=changed["name"])
    return replace(feature, **changed)


def _belongs(feature: Feature, field: Field, group: Group, listed: tuple[str, ...]) -> bool:
    """True when an input is one of the group's: one column for each element."""
    if field.side == CONST:
        return False
    if field.side == FEATURE and field.name.removeprefix(f"{group.name}__") in group.members:
        return True
    single = len(feature.fields) == 1 and feature.stem not in SEVERAL_INPUTS
    return single or field.side == "item" or field.name in listed or f"{group.name}__{field.name}" in listed


def _in_group(field: Field, group: Group) -> Field:
    prefix = f"{group.name}__"
    is_outside = field.side == FEATURE and field.name not in group.members
    return field if field.name.startswith(prefix) or is_outside else replace(field, name=prefix + field.name)


def _sequence_fields(section: Section) -> tuple[str, ...]:
    if "sequence_fields" not in section:
        return ()
    values = section.get("sequence_fields")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        section.problem("sequence_fields", f"wanted a list of input names, got {describe(values)}")
        return ()
    return tuple(value.rpartition(":")[2] for value in values)


def _length(section: Section, default: int) -> int:
    return section.integer("sequence_length", minimum=0, default=default, maximum=2**31 - 1)


def _delimiter(section: Section, default: str) -> str:
    delimiter = section.text("sequence_delim", default)
    if len(delimiter) != 1 or not delimiter.isascii():
        section.problem("sequence_delim", f"wanted exactly one ASCII character, got {describe(delimiter)}")
        return default
    return delimiter
