"""regex_replace_feature: RE2, through Arrow, over the different texts of a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.host.regex_limits import MAX_TEXT, pattern_cost
from tvm_rank.host.texts import Convert, refuse_long

LIBRARY = "pyarrow"


def opened(parameters: Mapping[str, Any], files: Mapping[str, bytes]) -> Convert:
    """The function texts -> replaced texts. parameters: `pattern`, `replacement`, `replace_all`; it needs no files."""
    del files
    pattern, replacement = parameters["pattern"], parameters["replacement"]
    count = -1 if parameters["replace_all"] else 1
    limit = pattern_cost(pattern).text_limit if parameters["replace_all"] else MAX_TEXT

    def convert(texts: pa.StringArray) -> pa.StringArray:
        refuse_long(texts, limit, "regex_replace_feature with this pattern")
        return pc.replace_substring_regex(texts, pattern=pattern, replacement=replacement, max_replacements=count)

    return convert
