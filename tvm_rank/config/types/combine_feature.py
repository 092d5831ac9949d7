"""combine_feature in fg.json: the values of one field, as numbers, combined to one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config import typed_numbers
from tvm_rank.config.inputs import read_field
from tvm_rank.config.reader import Section, describe, number_of
from tvm_rank.config.typed_numbers import TypedNumbers, read_typed_numbers

KEYS = ("expression", "value_map", *typed_numbers.KEYS)
COMBINERS = ("sum", "mean", "min", "max", "count", "gap_min", "gap_max")


@dataclass(frozen=True, kw_only=True)
class CombineFeature(TypedNumbers):
    """combine_feature: `combiner` makes one number of all values of a field. `value_map` gives the number of each text; None: the
    values are numbers themselves."""

    stem: ClassVar[str] = "combine_feature"

    combiner: str
    value_map: tuple[tuple[str, float], ...] | None = None


def read(section: Section, common: dict[str, Any], base_dir: Path) -> CombineFeature:
    """The feature."""
    del base_dir  # no file is named
    combiner = section.choice("combiner", COMBINERS, "sum", {"avg": "mean"})
    section.integer("value_dim", minimum=0, maximum=1, default=1)  # one number, whatever it says
    return CombineFeature(
        **common,
        **read_typed_numbers(section.without("combiner"), common, hashed=False, value_dim=1),
        fields=read_field(section, "expression"),
        combiner=combiner,
        value_map=_value_map(section),
    )


def _value_map(section: Section) -> tuple[tuple[str, float], ...] | None:
    if "value_map" not in section:
        return None
    words = section.get("value_map")
    if not isinstance(words, dict) or not words:
        section.problem("value_map", f"wanted an object of at least one text and its number, got {describe(words)}")
        return None
    found = []
    for word, value in words.items():
        number = number_of(value)
        if number is None:
            section.problem("value_map", f"wanted a number for {word!r}, got {describe(value)}")
        else:
            found.append((word, number))
    return tuple(found)
