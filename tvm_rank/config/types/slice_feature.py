"""slice_feature in fg.json: some of the values of a row, or some of the characters of each value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_field
from tvm_rank.config.keys import IDS
from tvm_rank.config.outputs import read_ids
from tvm_rank.config.reader import INT64_MAX, Section, describe, integer_of
from tvm_rank.config.spec import Feature

KEYS = ("expression", "start", "end", "unit", *IDS)
UNITS = ("value", "character")


@dataclass(frozen=True, kw_only=True)
class SliceFeature(Feature):
    """slice_feature: [start, end) as Python counts, negative from the end; `end` None: all of the rest. `unit`: value or character.
    `prefix` is put before each value ("" or "<name>_")."""

    stem: ClassVar[str] = "slice_feature"

    start: int = 0
    end: int | None = None
    unit: str = "value"
    prefix: str = ""


def read(section: Section, common: dict[str, Any], base_dir: Path) -> SliceFeature:
    """The feature."""
    if "start" not in section and "end" not in section:
        section.missing("start", "give 'start', 'end' or both: places from 0, negative ones from the end")
    return SliceFeature(
        **common,
        **read_ids(section, common["name"], base_dir, joined=False),
        fields=read_field(section, "expression"),
        start=_place(section, "start") or 0,
        end=_place(section, "end"),
        unit=section.choice("unit", UNITS, "value"),
    )


def _place(section: Section, key: str) -> int | None:
    if key not in section:
        return None
    number = integer_of(section.get(key))
    if number is None or abs(number) >= INT64_MAX:
        section.problem(key, f"wanted an integer of int64, got {describe(section.get(key))}")
        return None
    return number
