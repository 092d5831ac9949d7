"""overlap_feature in fg.json: one number from the terms of a query and a title."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import DEFAULT_SEPARATOR, read_field
from tvm_rank.config.keys import NUMBERS
from tvm_rank.config.outputs import default_numbers, read_ids, read_numbers
from tvm_rank.config.reader import Section, did_you_mean, one_of
from tvm_rank.config.rtp import RTP
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
WORD_METHODS = ("common_word", "diff_word", "common_word_divided", "diff_word_divided")
RTP_METHODS = ("query_common_ratio", "title_common_ratio", "is_contain", "is_equal", "diff_both", *WORD_METHODS)
"""Methods of the older dialect; its ratios are integers."""
MOST_WORK, BYTES_OF_TERM = 2**30, 4
"""Of a row: comparisons of terms, at worst; and bytes, separators included, that cost as much as one more term."""
_PAIRS = ("proximity_min_dist", "proximity_max_dist", "proximity_avg_dist")
_FROM_EACH_START = ("is_contain", "index_of", "proximity_min_cover")


@dataclass(frozen=True, kw_only=True)
class OverlapFeature(Feature):
    """overlap_feature: one number from the terms of `fields` = (query, title) by `method`; then normalizer and boundaries.

    Of the older dialect, if `discrete`: texts, `prefix` and that number, or the words that both sides have or one lacks, with `joiner`.
    """

    stem: ClassVar[str] = "overlap_feature"

    method: str
    normalizer: Normalizer | None = None
    default: float = 0.0  # the number of `default_value`, in output space and rounded to float32
    discrete: bool = False
    prefix: str = ""
    joiner: str = "_"

    @property
    def work(self) -> tuple[int, int]:
        """The powers of the terms of query and title with which the comparisons grow, at worst."""
        return (2, 2) if self.method in _PAIRS else (1, 2) if self.method in _FROM_EACH_START else (1, 1)

    @property
    def refusal(self) -> str:
        """A row with too many comparisons is refused."""
        query, title = self.work
        powers = f"terms of the query{'' if query == 1 else '^2'} x terms of the title{'' if title == 1 else '^2'}"
        rule = f"{powers}, {BYTES_OF_TERM} bytes, separators included, as one more term"
        return f"wants at most {MOST_WORK:,} comparisons in a row ({rule}); shorten them before"

    @property
    def numbers(self) -> int:
        """One; 0 when its values are texts."""
        return 0 if self.discrete else 1


def read(section: Section, common: dict[str, Any], base_dir: Path) -> OverlapFeature:
    """The feature."""
    if section.dialect == RTP:
        return _read_rtp(section, common, base_dir)
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


def _read_rtp(section: Section, common: dict[str, Any], base_dir: Path) -> OverlapFeature:
    """The feature of the older dialect, whose `separator` joins words and splits none."""
    section.boolean("need_dense", False)  # without effect on what the feature gives
    discrete = section.boolean("need_discrete", True)
    common = common | {"separators": (DEFAULT_SEPARATOR,)}
    default = section.text("default_value", "" if discrete else "0")
    fields = (*read_field(section, "query"), *read_field(section, "title"))
    shared = {**common, "fields": fields, "method": _rtp_method(section), "joiner": section.text("separator", "_")}
    if discrete:
        return OverlapFeature(**shared, **read_ids(section, common["name"], base_dir, joined=False), discrete=True)
    number = (default_numbers(section, default, (), 1) or (0.0,))[0]
    return OverlapFeature(**shared, **read_numbers(section, common["name"]), value_dim=1, default_value=default, default=number)


def _rtp_method(section: Section) -> str:
    method = section.required_text("method", f"write {one_of(RTP_METHODS)}")
    if method in LEGACY_METHODS and method not in RTP_METHODS:
        section.problem("method", f"no source says what {method!r} gives; allowed: {', '.join(RTP_METHODS)}")
    elif method and method not in RTP_METHODS:
        section.problem("method", f"unknown value {method!r}{did_you_mean(method, RTP_METHODS)}; allowed: {', '.join(RTP_METHODS)}")
    return method


def _method(section: Section) -> str:
    method = section.required_text("method", f"write {one_of(METHODS)}")
    if method in LEGACY_METHODS:
        section.problem("method", f"{method!r} is a method of the legacy engine; allowed: {', '.join(METHODS)}")
    elif method and method not in METHODS:
        section.problem("method", f"unknown value {method!r}{did_you_mean(method, METHODS)}; allowed: {', '.join(METHODS)}")
    return method
