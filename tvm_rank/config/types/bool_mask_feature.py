"""bool_mask_feature in fg.json: the values of one field whose place in a mask is true."""

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
class BoolMaskFeature(Feature):
    """bool_mask_feature: `fields` = (values, mask). `prefix` is put before each value ("" or "<name>_")."""

    stem: ClassVar[str] = "bool_mask_feature"

    prefix: str = ""


def read(section: Section, common: dict[str, Any], base_dir: Path) -> BoolMaskFeature:
    """The feature."""
    fields = read_fields(section)
    if len(fields) > 2:
        section.problem("expression", f"wanted two input columns, values and mask, got a list of {len(fields)}")
    return BoolMaskFeature(**common, **read_ids(section, common["name"], base_dir, joined=False), fields=fields)
