"""lookup_feature in fg.json: the values that a map has for the keys of a row, as texts that become ids, or combined to one number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_field
from tvm_rank.config.keys import COMBINERS, ID_BUCKETIZERS, IDS, NUMBERS
from tvm_rank.config.outputs import default_numbers, read_ids, read_numbers
from tvm_rank.config.reader import Section, one_of
from tvm_rank.config.spec import Boundaries, Feature, Normalizer

LOOKUP_COMBINERS = ("sum", "mean", "min", "max", "count", "gap_min", "gap_max", "")
KEYS = (
    "map", "key", "need_discrete", "need_key", "need_weighting", "default_lookup_value", *IDS, *NUMBERS,
)  # fmt: skip
MAX_DIMENSION = 2**16
VALUE_SEPARATOR = ","  # between the numbers of a value of several


@dataclass(frozen=True, kw_only=True)
class LookupFeature(Feature):
    """lookup_feature: `fields` = (map, key).

    `discrete`: texts [prefix][key_]value for each hit (`with_key`), or [prefix]key with the value as weight (`weighted`); `miss` is the
    value of a key that the map lacks, None: such keys are skipped. Otherwise numbers: `combiner` makes one of all hits ("": each hit is
    one), then normalizer and boundaries; `defaults` are the `value_dim` numbers of `default_value`, in output space, () when it is "".
    """

    stem: ClassVar[str] = "lookup_feature"

    discrete: bool
    combiner: str = "sum"
    with_key: bool = False
    weighted: bool = False
    miss: str | None = None
    prefix: str = ""
    normalizer: Normalizer | None = None
    defaults: tuple[float, ...] = ()

    @property
    def numbers(self) -> int:
        """How many numbers a row has before they are bucketized; 0 when its values are texts."""
        return 0 if self.discrete else self.value_dim

    @property
    def has_weights(self) -> bool:
        """True when the values are weights."""
        return self.weighted


def read(section: Section, common: dict[str, Any], base_dir: Path) -> LookupFeature:
    """The feature."""
    discrete = section.boolean("need_discrete", any(key in section for key in ID_BUCKETIZERS))
    return LookupFeature(
        **common,
        **(_texts(section, common["name"], base_dir) if discrete else _numbers(section, common)),
        fields=(*read_field(section, "map"), *read_field(section, "key")),
        discrete=discrete,
    )


def _texts(section: Section, name: str, base_dir: Path) -> dict[str, Any]:
    weighted = section.boolean("need_weighting", False)
    with_key = section.boolean("need_key", False) and not weighted
    if "combiner" in section and section.text("combiner", "") in ("", *set(LOOKUP_COMBINERS) - set(COMBINERS)):
        section = section.without("combiner")  # there is nothing to combine, and it names no pooling of embeddings either
    if weighted and "default_lookup_value" in section:
        section.problem("default_lookup_value", "has no meaning with needWeighting: the value is the weight; remove one of them")
    for key in NUMBERS:
        if key in section:
            section.problem(key, "belongs to numbers; remove it, or write 'needDiscrete': false")
    return {
        **read_ids(section, name, base_dir, joined=with_key),
        "combiner": "",
        "with_key": with_key,
        "weighted": weighted,
        "miss": section.text("default_lookup_value", "") if "default_lookup_value" in section else None,
    }


def _numbers(section: Section, common: dict[str, Any]) -> dict[str, Any]:
    for key in ("need_key", "need_weighting"):
        section.boolean(key, False)  # numbers have neither
    for key in IDS:
        if key in section:
            section.problem(key, f"belongs to texts; write 'needDiscrete': true, or one of {one_of(NUMBERS)}")
    if section.text("default_lookup_value", ""):
        section.problem("default_lookup_value", "belongs to texts; a number of a key that the map lacks is left out")
    combiner = section.choice("combiner", LOOKUP_COMBINERS, "sum", {"avg": "mean"})
    default = section.text("default_value", "0")
    dimension = section.integer("value_dim", minimum=1, maximum=MAX_DIMENSION, default=1)
    numbers = read_numbers(section.without("combiner"), common["name"])
    if combiner == "" and (dimension > 1 or not isinstance(numbers["bucketizer"], Boundaries)):
        combiner = "sum"  # one number for each hit needs ids to be of any use
    splitting = (*common["separators"], VALUE_SEPARATOR)
    return {
        **numbers,
        "combiner": combiner,
        "default_value": default,
        "value_dim": dimension,
        "defaults": default_numbers(section, default, splitting, dimension),
    }
