"""id_feature in fg.json: every value of one field, bucketized."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_field
from tvm_rank.config.keys import IDS
from tvm_rank.config.outputs import read_ids
from tvm_rank.config.reader import Section
from tvm_rank.config.rtp import read_invalid_values
from tvm_rank.config.spec import Feature

KEYS = ("expression", *IDS, "weighted")


@dataclass(frozen=True, kw_only=True)
class IdFeature(Feature):
    """id_feature: every value of one field, bucketized. `prefix` is put before each value ("" or "<name>_")."""

    stem: ClassVar[str] = "id_feature"

    prefix: str = ""
    weighted: bool = False

    @property
    def has_weights(self) -> bool:
        """True when the values are `key:weight`."""
        return self.weighted


def read(section: Section, common: dict[str, Any], base_dir: Path) -> IdFeature:
    """The feature."""
    return IdFeature(
        **common,
        **read_ids(section, common["name"], base_dir, joined=False),
        fields=read_field(section, "expression"),
        invalid_values=read_invalid_values(section),
        weighted=section.boolean("weighted", False),
    )
