"""regex_replace_feature in fg.json: parts of a text that match a pattern are replaced; what is left is bucketized."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.inputs import read_field
from tvm_rank.config.keys import IDS
from tvm_rank.config.outputs import read_ids
from tvm_rank.config.reader import Section, describe
from tvm_rank.config.spec import Feature
from tvm_rank.host.regex_limits import MAX_PATTERN_SIZE, pattern_cost

KEYS = ("expression", "regex_pattern", "replacement", "replace_all", "icase", *IDS)


@dataclass(frozen=True, kw_only=True)
class RegexReplaceFeature(Feature):
    """regex_replace_feature: matches of `pattern` (RE2's syntax, all patterns and flags in one) replaced by `replacement`, then bucketized.

    `replacement` has RE2's groups: \\1 to \\9, \\0 for the whole match, \\\\ for a backslash. `replace_all` false replaces the first
    match only. With `value_dim` 1 the whole text is one value, else it is split at the separators before. `prefix` is put before each
    value ("" or "<name>_").
    """

    stem: ClassVar[str] = "regex_replace_feature"

    pattern: str
    replacement: str
    replace_all: bool = True
    prefix: str = ""


def read(section: Section, common: dict[str, Any], base_dir: Path) -> RegexReplaceFeature:
    """The feature."""
    pattern = _pattern(section)
    replacement = section.text("replacement", "")
    if pattern and (problem := _problem(pattern, replacement)):
        section.problem("replacement" if "replacement string" in problem else "regex_pattern", problem)
    ids = read_ids(section, common["name"], base_dir, joined=False)
    return RegexReplaceFeature(
        **common,
        **ids | {"value_dim": section.integer("value_dim", minimum=0, default=1)},
        fields=read_field(section, "expression"),
        pattern=pattern,
        replacement=replacement,
        replace_all=section.boolean("replace_all", True),
    )


def _pattern(section: Section) -> str:
    """The union of the patterns, behind the flag of `icase`; "" when it is wrong."""
    ignores_case = section.boolean("icase", False)
    if "regex_pattern" not in section:
        section.missing("regex_pattern", "write a pattern in RE2's syntax, or a list of them")
        return ""
    given = section.get("regex_pattern")
    patterns = given if isinstance(given, list) else [given]
    wrong = [value for value in patterns if not isinstance(value, str)]
    if wrong or not all(patterns):
        got = describe(wrong[0]) if wrong else "an empty pattern, which matches between all characters"
        section.problem("regex_pattern", f"wanted a pattern, or a list of patterns, got {got}")
        return ""
    if not patterns:
        section.problem("regex_pattern", "wanted a list of at least one pattern, got an empty list")
        return ""
    for pattern in patterns if len(patterns) > 1 else []:
        if problem := _problem(pattern, ""):
            section.problem("regex_pattern", problem)
            return ""
    return ("(?i)" if ignores_case else "") + "|".join(patterns)


def _problem(pattern: str, replacement: str) -> str:
    """What is wrong with a pattern and its replacement; "" when nothing is."""
    size = pattern_cost(pattern).size
    if size > MAX_PATTERN_SIZE:
        return f"{pattern[:40]!r} has {size} characters when its repetitions are written out; at most {MAX_PATTERN_SIZE} are taken"
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.replace_substring_regex(pa.array(["a"]), pattern=pattern, replacement=replacement)
    except pa.ArrowInvalid as error:
        return f"{pattern[:40]!r}: {str(error)[:160]}"
    return ""
