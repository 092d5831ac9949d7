"""raw_feature in fg.json: the numbers of one field, normalized, and bucketized when it has boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_field
from tvm_rank.config.keys import NUMBERS
from tvm_rank.config.outputs import default_numbers, read_numbers
from tvm_rank.config.reader import Section
from tvm_rank.config.spec import Feature, Normalizer

KEYS = ("expression", *NUMBERS)


@dataclass(frozen=True, kw_only=True)
class RawFeature(Feature):
    """raw_feature: `value_dim` numbers of one field, normalized, and bucketized when it has boundaries.

    `defaults` are the `value_dim` numbers of `default_value`, in output space and rounded to float32; () when it is "".
    """

    stem: ClassVar[str] = "raw_feature"

    normalizer: Normalizer | None = None
    defaults: tuple[float, ...] = ()

    @property
    def numbers(self) -> int:
        """`value_dim` of them."""
        return self.value_dim

    @property
    def refusal(self) -> str:
        """A row with another count of numbers is refused."""
        values = f"{self.value_dim} value{'s' if self.value_dim != 1 else ''}"
        return f"wants {values} a row (value_dim), and this row has another number"


def read(section: Section, common: dict[str, Any], base_dir: Path) -> RawFeature:
    """The feature."""
    del base_dir  # no file is named
    value_dim = section.integer("value_dim", minimum=1, maximum=2**31 - 1, default=1)
    default = section.text("default_value", "0")
    return RawFeature(
        **common,
        **read_numbers(section, common["name"]),
        fields=read_field(section, "expression"),
        default_value=default,
        value_dim=value_dim,
        defaults=default_numbers(section, default, common["separators"], value_dim),
    )
