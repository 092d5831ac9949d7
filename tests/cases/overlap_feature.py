"""overlap_feature: its variants, and named columns (query, title)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column
from tvm_rank.config.types.overlap_feature import METHODS


def _feature(method: str, **keys: Any) -> dict[str, Any]:
    return {
        "feature_type": "overlap_feature",
        "query": "user:query",
        "title": "item:title",
        "method": method,
        "separator": "|",
        **keys,
    }


FEATURES: dict[str, dict[str, Any]] = {
    **{method: _feature(method) for method in METHODS},
    "default": _feature("query_common_ratio", default_value="0.25"),
    "onlyseparator29": {key: value for key, value in _feature("is_equal").items() if key != "separator"},
    "normalized": _feature("query_common_ratio", normalizer="method=zscore,mean=0.3,standard_deviation=0.7", default_value="9"),
    "bucket": _feature("query_common_ratio", boundaries=[0, 0.25, 0.5, 1]),
    "bucketdefault": _feature("query_common_ratio", boundaries=[0, 0.25, 0.5, 1], default_value="0.5"),
    "normalizedbucket": _feature("query_common_ratio", normalizer="method=minmax,min=0,max=4", boundaries=[0.1, 0.125, 0.25]),
}

_STRING, _LIST = pa.string(), pa.list_(pa.string())


def _words(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


_PAIRS = ["bc abcd", "abcd abcd", "cb abcd", "ax abca", "xy ab", "aab acccab", "abc axxbc", "aab axb", "aabc abxxc", "a ba", "abc ab",
          "aa a", "a aa", "aba ababa", "ba abab", "aaaa aaaaaaaa"]  # fmt: skip
COLUMNS: dict[str, tuple[pa.Array, pa.Array]] = {
    "lists": (
        column([_words(pair.split()[0]) for pair in _PAIRS], _LIST),
        column([_words(pair.split()[1]) for pair in _PAIRS], _LIST),
    ),
    "texts": (
        column([b"|".join(_words(pair.split()[0])) for pair in _PAIRS], _STRING),
        column([b"\x1d".join(_words(pair.split()[1])) for pair in _PAIRS], _STRING),
    ),
    "missing-sides": (column([None, b"a", b"", b"|", None], _STRING), column([[b"a"], [], [b"a"], [b"a"], None], _LIST)),
    "dropped-terms": (column([b"|a||b|"], _STRING), column([[b"x", None, b"a", b"", b"b"]], _LIST)),
    "numbers-and-text": (column([1, 12, None], pa.int64()), column([b"1|2", b"12", b"3"], _STRING)),
    "floats": (column([1.0, 2.5], pa.float64()), column([[1, 2], [2, 5]], pa.list_(pa.int32()))),
    "one-query-for-all": (column([b"a|b"], _STRING), column([b"a", b"b|a", None, b"a|b"], _STRING)),
    "prefixes-of-each-other": (column([b"a|ab|abc"], _STRING), column([b"abcd|abc|a" + b"x" * 70 + b"|ab"], _STRING)),
    "long-terms": (
        column([b"w" * 70 + b"|" + b"w" * 71], _STRING),
        column([b"w" * 71 + b"|" + b"w" * 69 + b"v|" + b"w" * 70], _STRING),
    ),
    "bytes": (column([b"\0|\0\0|\xff"], _STRING), column([b"\0\0|\xff|\xfe|\0"], _STRING)),
    "no-rows": (column([], _STRING), column([], _LIST)),
    "many": (
        column([b"|".join(b"%d" % (k % 13) for k in range(20))], _STRING),
        column([b"|".join(b"%d" % (k % 17) for k in range(40))], _STRING),
    ),
}
