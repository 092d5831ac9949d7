"""overlap_feature in fg.json: one number from the terms of a query and a title."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_field
from tvm_rank.config.keys import NUMBERS
from tvm_rank.config.outputs import default_numbers, read_numbers
from tvm_rank.config.reader import Section, did_you_mean, one_of
from tvm_rank.config.spec import Feature, Normalizer

KEYS = ("query", "title", "method", *NUMBERS)

METHODS = (
    "query_common_ratio", "title_common_ratio", "is_contain", "is_equal", "index_of", "proximity_min_cover", "proximity_min_dist",
    "proximity_max_dist", "proximity_avg_dist",
)  # fmt: skip
LEGACY_METHODS = (
    "common_word", "diff_word", "common_word_divided", "diff_word_divided", "diff_both", "match_words", "match_words_divided",
    "hit_ornot",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OverlapFeature(Feature):
    """overlap_feature: one number from the terms of `fields` = (query, title) by `method`; then normalizer and boundaries."""

    stem: ClassVar[str] = "overlap_feature"

    method: str
    normalizer: Normalizer | None = None
    default: float = 0.0  # the number of `default_value`, in output space and rounded to float32

    @property
    def numbers(self) -> int:
        """One."""
        return 1


def read(section: Section, common: dict[str, Any], base_dir: Path) -> OverlapFeature:
    """The feature."""
    del base_dir  # no file is named
    default = section.text("default_value", "0") or "0"
    return OverlapFeature(
        **common,
        **read_numbers(section, common["name"]),
        fields=(*read_field(section, "query"), *read_field(section, "title")),
        default_value=default,
        value_dim=section.integer("value_dim", minimum=1, maximum=1, default=1),
        default=(default_numbers(section, default, (), 1) or (0.0,))[0],
        method=_method(section),
    )


def _method(section: Section) -> str:
    method = section.required_text("method", f"write {one_of(METHODS)}")
    if method in LEGACY_METHODS:
        section.problem("method", f"{method!r} is a method of the legacy engine; allowed: {', '.join(METHODS)}")
    elif method and method not in METHODS:
        section.problem("method", f"unknown value {method!r}{did_you_mean(method, METHODS)}; allowed: {', '.join(METHODS)}")
    return method
