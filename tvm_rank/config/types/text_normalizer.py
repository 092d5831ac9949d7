"""text_normalizer in fg.json: characters of a text are mapped to a common form."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.files import read_file
from tvm_rank.config.inputs import read_field
from tvm_rank.config.keys import IDS
from tvm_rank.config.outputs import read_ids
from tvm_rank.config.reader import Section
from tvm_rank.config.spec import Feature

KEYS = (
    "expression", "parameter", "remove_space", "max_length", "stop_char_file", "is_gbk_input", "is_gbk_output", *IDS,
)  # fmt: skip

UPPER, LOWER, HALF_WIDTH, SIMPLIFIED, FILTER, SPLIT_HAN = 2, 4, 8, 16, 32, 512
BITS = {
    UPPER: "lower to upper case",
    LOWER: "upper to lower case",
    HALF_WIDTH: "full to half width",
    SIMPLIFIED: "traditional to simplified",
    FILTER: "special characters to blanks",
    SPLIT_HAN: "split Chinese characters",
}
DEFAULT_PARAMETER = LOWER | HALF_WIDTH | SIMPLIFIED | FILTER
MAX_STOP_FILE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class TextNormalizer(Feature):
    """text_normalizer: `parameter` is the sum of BITS; then ids by the bucketizer, if there is one, as of an id_feature.

    `max_length`: texts with more GBK bytes stay as they are; 0 for no limit. `stop_characters` replaces the built-in special characters;
    null for those. `prefix` is put before each value ("" or "<name>_").
    """

    stem: ClassVar[str] = "text_normalizer"

    parameter: int = DEFAULT_PARAMETER
    remove_space: bool = False
    max_length: int = 0
    stop_characters: frozenset[str] | None = None
    prefix: str = ""


def read(section: Section, common: dict[str, Any], base_dir: Path) -> TextNormalizer:
    """The feature."""
    for key in ("is_gbk_input", "is_gbk_output"):
        if section.boolean(key, False):
            section.problem(key, "Arrow's texts are UTF-8; convert the column before, and remove the key")
    return TextNormalizer(
        **common,
        **read_ids(section, common["name"], base_dir, joined=False),
        fields=read_field(section, "expression"),
        parameter=_parameter(section),
        remove_space=section.boolean("remove_space", False),
        max_length=section.integer("max_length", minimum=0, default=0),
        stop_characters=_stop_characters(section, base_dir) if "stop_char_file" in section else None,
    )


def _parameter(section: Section) -> int:
    parameter = section.integer("parameter", minimum=0, default=DEFAULT_PARAMETER)
    unknown = parameter & ~sum(BITS)
    if unknown:
        meanings = ", ".join(f"{bit} {meaning}" for bit, meaning in BITS.items())
        section.problem("parameter", f"{parameter} has the unknown bits {unknown}; the bits are {meanings}")
    elif parameter & UPPER and parameter & LOWER:
        section.problem("parameter", f"{parameter} asks for upper ({UPPER}) and for lower case ({LOWER}); keep one of the two bits")
    elif parameter & SIMPLIFIED and importlib.util.find_spec("opencc") is None:
        where = "parameter" if "parameter" in section else "feature_type"
        section.problem(where, "traditional to simplified (16) needs the package OpenCC: pip install 'tvm-rank[text]'")
    return parameter


def _stop_characters(section: Section, base_dir: Path) -> frozenset[str] | None:
    if not section.required_text("stop_char_file", "name the file with the special characters, or remove the key"):
        return None
    contents = read_file(section, "stop_char_file", base_dir, limit=MAX_STOP_FILE)
    try:
        return None if contents is None else frozenset(contents.decode("gb18030")) - {"\r", "\n"}
    except UnicodeDecodeError as error:
        section.problem("stop_char_file", f"is not GBK at byte {error.start}; save it as GBK")
    return None
