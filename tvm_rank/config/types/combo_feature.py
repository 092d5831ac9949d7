"""combo_feature in fg.json: the Cartesian product of the values of several fields, joined and bucketized."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_fields
from tvm_rank.config.keys import IDS
from tvm_rank.config.outputs import read_ids
from tvm_rank.config.reader import Section
from tvm_rank.config.spec import Feature

KEYS = ("expression", *IDS)


@dataclass(frozen=True, kw_only=True)
class ComboFeature(Feature):
    """combo_feature: the Cartesian product of its fields' values, joined with "_"; the first field is the outer loop."""

    stem: ClassVar[str] = "combo_feature"

    prefix: str = ""


def read(section: Section, common: dict[str, Any], base_dir: Path) -> ComboFeature:
    """The feature."""
    return ComboFeature(**common, **read_ids(section, common["name"], base_dir, joined=True), fields=read_fields(section))
