"""match_feature in fg.json: the values that a nested map has for categories and items, as texts that become ids, or as a number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_field
from tvm_rank.config.keys import ID_BUCKETIZERS, IDS, NUMBERS
from tvm_rank.config.outputs import default_numbers, read_ids, read_numbers
from tvm_rank.config.reader import Section
from tvm_rank.config.spec import Feature, Field, Normalizer, NumBuckets

ALL = "ALL"
HIT, MULTIHIT = "hit", "multihit"
LEGACY_MATCH_TYPES = ("cross", "cos")
KEYS = (
    "user", "category", "item", "match_type", "need_discrete", "need_weighting", "show_category", "show_item", *IDS, *NUMBERS,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MatchFeature(Feature):
    """match_feature: `fields` = (nested map[, category][, item]); `category` and `item` say where theirs come from: a Field, or "ALL".

    `match_type` hit looks the literal ALL up like any key, multihit stands for every key. `discrete`: texts
    [prefix][category_][item_]value, or without the value and with it as weight (`weighted`). Otherwise a number, then normalizer and
    boundaries; `defaults` is the number of `default_value`, in output space, () when it is "".
    """

    stem: ClassVar[str] = "match_feature"

    category: Field | str
    item: Field | str
    match_type: str
    discrete: bool
    show_category: bool = False
    show_item: bool = False
    weighted: bool = False
    prefix: str = ""
    normalizer: Normalizer | None = None
    defaults: tuple[float, ...] = ()

    @property
    def numbers(self) -> int:
        """One number a row; 0 when its values are texts."""
        return 0 if self.discrete else 1

    @property
    def has_weights(self) -> bool:
        """True when the values are weights."""
        return self.weighted


def read(section: Section, common: dict[str, Any], base_dir: Path) -> MatchFeature:
    """The feature."""
    discrete = section.boolean("need_discrete", any(key in section for key in ID_BUCKETIZERS))
    match_type = _match_type(section)
    sides: dict[str, Any] = {key: _side(section, key) for key in ("category", "item")}
    inputs = tuple(side for side in sides.values() if isinstance(side, Field))
    return MatchFeature(
        **common,
        **(_texts(section, common["name"], base_dir, match_type) if discrete else _numbers(section, common["name"])),
        **sides,
        fields=(*read_field(section, "user"), *inputs),
        match_type=match_type,
        discrete=discrete,
    )


def _match_type(section: Section) -> str:
    value = section.text("match_type", HIT)
    if value in LEGACY_MATCH_TYPES:
        section.problem("match_type", f"{value!r} is a match type of the legacy engine; allowed: {HIT}, {MULTIHIT}")
        return HIT
    return section.choice("match_type", (HIT, MULTIHIT), HIT)


def _side(section: Section, key: str) -> Field | str:
    if key in section and section.get(key) == ALL:
        return ALL
    return next(iter(read_field(section, key)), ALL)


def _texts(section: Section, name: str, base_dir: Path, match_type: str) -> dict[str, Any]:
    weighted = section.boolean("need_weighting", False)
    shown = {key: section.boolean(key, match_type == HIT) for key in ("show_category", "show_item")}
    if weighted and not any(shown.values()):
        section.problem(
            "need_weighting", "the value is the weight, and nothing is left for the text; show the category or the item"
        )
    for key in NUMBERS:
        if key in section:
            section.problem(key, "belongs to numbers; remove it, or write 'needDiscrete': false")
    texts = read_ids(section, name, base_dir, joined=weighted)
    if isinstance(texts["bucketizer"], NumBuckets):
        shown = dict.fromkeys(shown, False)  # the bare number is read
    prefix = f"{name}_" if section.boolean("need_prefix", True) else ""
    return {**texts, "prefix": prefix, "weighted": weighted, **shown}


def _numbers(section: Section, name: str) -> dict[str, Any]:
    for key in ("need_weighting", "show_category", "show_item"):
        section.boolean(key, False)  # numbers have no text
    for key in IDS:
        if key in section:
            section.problem(key, "belongs to texts; write 'needDiscrete': true, or 'boundaries'")
    default = section.text("default_value", "0")
    return {
        **read_numbers(section, name),
        "default_value": default,
        "value_dim": section.integer("value_dim", minimum=1, maximum=1, default=1),
        "defaults": default_numbers(section, default, (), 1),
    }
