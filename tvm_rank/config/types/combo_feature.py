"""combo_feature in fg.json: the Cartesian product of the values of several fields, joined and bucketized."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_fields
from tvm_rank.config.keys import IDS
from tvm_rank.config.outputs import read_ids
from tvm_rank.config.reader import Section, describe, integer_of
from tvm_rank.config.rtp import RTP
from tvm_rank.config.spec import Feature

KEYS = ("expression", *IDS)
MOST_COMBINATIONS = 2**24  # of a row: more would take seconds, and the values of two hostile fields multiply


@dataclass(frozen=True, kw_only=True)
class ComboFeature(Feature):
    """combo_feature: the Cartesian product of its fields' values, joined with "_"; the first field is the outer loop.

    Of the older dialect: `most` values of each field are kept (() keeps all), the first where `front` is true, else the last; `ordered`:
    the parts of each text are sorted by their bytes.
    """

    stem: ClassVar[str] = "combo_feature"

    prefix: str = ""
    most: tuple[int, ...] = ()
    front: tuple[bool, ...] = ()
    ordered: bool = False

    @property
    def refusal(self) -> str:
        """A row with too many combinations is refused."""
        return f"wants at most {MOST_COMBINATIONS:,} combinations of its inputs' values in a row; shorten their lists before"


def read(section: Section, common: dict[str, Any], base_dir: Path) -> ComboFeature:
    """The feature."""
    is_rtp = section.dialect == RTP
    fields = read_fields(section, minimum=1 if is_rtp else 2)
    return ComboFeature(
        **common,
        **read_ids(section, common["name"], base_dir, joined=True),
        **(_pruning(section, len(fields)) if is_rtp else {}),
        fields=fields,
    )


def _pruning(section: Section, count: int) -> dict[str, Any]:
    """most, front and ordered, of the older dialect."""
    limits = section.get("prune_limit") if "prune_limit" in section else []
    if not isinstance(limits, list) or not all((integer_of(limit) or 0) > 1 for limit in limits) or len(limits) not in (0, count):
        section.problem("prune_limit", f"wanted an integer of at least 2 for each of {count} inputs, got {describe(limits)}")
        limits = []
    sides = section.get("prune_right") if "prune_right" in section else [True] * len(limits)
    if not isinstance(sides, list) or not all(isinstance(side, bool) for side in sides) or len(sides) != len(limits):
        section.problem("prune_right", f"wanted true or false for each entry of prune_limit, got {describe(sides)}")
        sides = [True] * len(limits)
    return {"most": tuple(limits), "front": tuple(sides), "ordered": section.boolean("need_sort", False)}
