"""regex_replace_feature: its variants, and named columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column


def _feature(pattern: str | list[str], replacement: str = "", **keys: Any) -> dict[str, Any]:
    bucketizer = {} if "num_buckets" in keys or "vocab_list" in keys else {"hash_bucket_size": 1000}
    return {
        "feature_type": "regex_replace_feature",
        "expression": "item:text",
        "regex_pattern": pattern,
        "replacement": replacement,
        **bucketizer,
        **keys,
    }


WORDS = {"vocab_list": ["", "<OOV>", "xd", "a b", "中华人<e>"], "default_bucketize_value": 1}
FEATURES: dict[str, dict[str, Any]] = {
    "all": _feature("[ab]", "-"),
    "first": _feature("[ab]", "-", replace_all=False),
    "icase": _feature(["abc"], "x", icase=True, **WORDS),
    "union": _feature(["a+", "b"], "-", value_dim=0),
    "groups": _feature("(.)(.)", "\\2\\1\\0\\\\"),
    "truncated": _feature("(?s)^(.{0,3}).*$", "\\1<e>", replace_all=False, **WORDS),
    "digits": _feature("[^0-9]", "", num_buckets=100, default_value="0"),
    "values": _feature("[ab]", "", value_dim=0, separator="|", need_prefix=True),
    "whole": _feature("\\|", " ", separator="|", default_value="x|y", **WORDS),
    "between": _feature("x*", "-"),
}

_STRING, _LIST = pa.string(), pa.list_(pa.string())
COLUMNS: dict[str, pa.Array] = {
    "texts": column([b"ABCd", b"abcd", None, b"", b"a|b", b"ab|ba|\x1d", "中华人民".encode()], _STRING),
    "no-utf8": column([b"a\xff", b"\xe4\xb8", b"a\0b"], _STRING),
    "lists": column([[b"abc", None, b"a|b"], [], None, [b"", b"b"]], _LIST),
    "integers": column([101, None, -20], pa.int64()),
    "floats": column([1.5, None, 2.0], pa.float32()),
    "no-rows": column([], _STRING),
    "one-for-all": column([b"abc"], _STRING),
}
