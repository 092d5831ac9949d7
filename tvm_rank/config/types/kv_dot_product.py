"""kv_dot_product in fg.json: the dot product of two sparse vectors, given as `key:weight`."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_field
from tvm_rank.config.keys import NUMBERS
from tvm_rank.config.outputs import default_numbers, read_numbers
from tvm_rank.config.reader import Section, describe
from tvm_rank.config.spec import Feature, Normalizer

KEYS = ("query", "document", "kv_delimiter", *NUMBERS)
OF_NUMBERS = string.ascii_letters + string.digits + "+-."  # characters that a weight may have


@dataclass(frozen=True, kw_only=True)
class KvDotProduct(Feature):
    """kv_dot_product: one number from `fields` = (query, document), whose parts are `key<delimiter>weight`; then normalizer and
    boundaries. `default` is the number of `default_value`, in output space and rounded to float32."""

    stem: ClassVar[str] = "kv_dot_product"

    delimiter: str = ":"
    normalizer: Normalizer | None = None
    default: float = 0.0

    @property
    def numbers(self) -> int:
        """One number a row."""
        return 1


def read(section: Section, common: dict[str, Any], base_dir: Path) -> KvDotProduct:
    """The feature."""
    del base_dir  # no file is named
    default = section.text("default_value", "0") or "0"
    return KvDotProduct(
        **common,
        **read_numbers(section, common["name"]),
        fields=(*read_field(section, "query"), *read_field(section, "document")),
        default_value=default,
        value_dim=section.integer("value_dim", minimum=1, maximum=1, default=1),
        default=(default_numbers(section, default, (), 1) or (0.0,))[0],
        delimiter=_delimiter(section, common["separators"]),
    )


def _delimiter(section: Section, separators: tuple[str, ...]) -> str:
    delimiter = section.text("kv_delimiter", ":")
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in OF_NUMBERS or delimiter in separators:
        section.problem(
            "kv_delimiter", f"wanted one ASCII character that is in no number and no separator, got {describe(delimiter)}"
        )
        return ":"
    return delimiter
