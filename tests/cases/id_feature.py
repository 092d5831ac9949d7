"""id_feature: its variants, and named columns. Fields: `text` (anything), `number` (integers), `pair` and `number_pair` (weighted)."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa

from cases.columns import column

LONG_WORD = "w" * 70
VOCABULARY = {
    "vocab_dict": {
        "a": 1, "b": 2, "": 3, "a\0b": 4, "\0": 5, "价格带": 6, LONG_WORD: 7, "7": 8, "-3": 9, "5.2": 10, "a|b": 11,
        "wordsprefixed_a": 12, "wordsprefixedweighted_价格带": 13, "wordsprefixedweighted_": 14, " ": 2**62,
    },
    "default_bucketize_value": 99,
}  # fmt: skip
HASH = {"hash_bucket_size": 1_000_003}
PREFIX = {"need_prefix": True}

_BUCKETIZERS: dict[str, dict[str, Any]] = {"hash": HASH, "words": VOCABULARY}
_DEFAULTS = {"": {}, "default": {"default_value": "a|b"}}
_WIDTHS = {"": {}, "first": {"value_dim": 1}, "two": {"value_dim": 2}}
_PREFIXES = {"": {}, "prefixed": PREFIX}


def _feature(field: str, *parts: dict[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {"feature_type": "id_feature", "expression": f"user:{field}", "separator": "|"}
    for part in parts:
        keys |= part
    return keys


def _variants(
    field: str, *axes: dict[str, dict[str, Any]], suffix: str = "", extra: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "".join(names) + suffix: _feature(field, *(axis[name] for axis, name in zip(axes, names, strict=True)), extra or {})
        for names in itertools.product(*axes)
    }


WEIGHTED = {"weighted": True}
FEATURES: dict[str, dict[str, Any]] = {
    **_variants("text", {"hash": HASH}, _PREFIXES, _DEFAULTS, _WIDTHS),
    **_variants("text", {"words": VOCABULARY}, _PREFIXES, _DEFAULTS),
    **_variants("pair", _BUCKETIZERS, _PREFIXES, _DEFAULTS, suffix="weighted", extra=WEIGHTED),
    "weightedfirst": _feature("pair", HASH, WEIGHTED, {"value_dim": 1}),
    "onlyseparator29": {"feature_type": "id_feature", "expression": "user:text", **HASH},
    "onebucket": _feature("text", {"hash_bucket_size": 1}),
    "allbuckets": _feature("text", {"hash_bucket_size": 2**63 - 1}),
    "emptyvocabularyword": _feature("text", {"vocab_list": ["a", "b", "a"], "default_bucketize_value": 0}),
    "number": _feature("number", {"num_buckets": 100}),
    "numberdefault": _feature("number", {"num_buckets": 100, "default_value": "+007"}),
    "numberdefaultoutside": _feature("number", {"num_buckets": 100, "default_value": "9" * 5000}),
    "numberfirst": _feature("number", {"num_buckets": 2**63 - 1, "value_dim": 1}),
    "numberprefixed": _feature("number", {"num_buckets": 100}, PREFIX),
    "numberweighted": _feature("number_pair", {"num_buckets": 100, "default_value": "3"}, WEIGHTED),
}
# for the other hash function: bare texts, and the longest way to a text
HASHED = {
    name: keys for name, keys in FEATURES.items() if "hash_bucket_size" in keys and ("weighted" in keys) == ("need_prefix" in keys)
}

_STRING, _LIST = pa.string(), pa.list_(pa.string())
_EDGES = [-(2**63), 2**63 - 1, -1, 0, 7, None, 10**18, -(10**18), 99999999, 100000000, -7]
TEXT_COLUMNS: dict[str, pa.Array] = {
    "nulls": column([b"a", None, b"b", None], _STRING),
    "all-null": column([None] * 3, _STRING),
    "all-null-lists": column([None] * 3, _LIST),
    "empty-texts": column([b"", b"", b"a"], _STRING),
    "no-rows": column([], _STRING),
    "no-rows-of-lists": column([], _LIST),
    "one-row": column([b"a|b"], _STRING),
    "separators-at-ends": column([b"|a|", b"\x1da\x1d", b"||", b"\x1d|\x1d", b"a||b", b"|"], _STRING),
    "separators-in-lists": column([[b"a|b", b"\x1d"], [b"a\x1db"]], _LIST),
    "null-elements": column([[None], [None, b"a", None, b""], [], [b"b"], None], _LIST),
    "nul-bytes": column([b"\0", b"a\0b", b"\0\0\0\0\0\0\0\0", b"\0|\0"], _STRING),
    "utf-8": column(["价格带|é".encode(), "🙂".encode()], _STRING),
    "no-utf-8": column([b"\xff\xfe|\x80", b"\xc3"], _STRING),
    "long": column([b"w" * 70, b"x" * 64, b"y" * 65, b"z" * 257, b"a" * 1000 + b"|b"], _STRING),
    "many-values": column([b"|".join(b"%d" % k for k in range(200)), b"a"], _STRING),
    "int32": column([-(2**31), 2**31 - 1, 0, 7, None], pa.int32()),
    "int64": column(_EDGES, pa.int64()),
    "float32": column([0.1, 5.2, -0.0, 1e20, 3.0, None, float("nan"), float("inf")], pa.float32()),
    "float64": column([0.1, 5.2, -0.0, 1e20, 3.0, None, float("nan"), 5e-324], pa.float64()),
    "lists-of-int64": column([_EDGES, None, [], [None]], pa.list_(pa.int64())),
    "lists-of-float32": column([[0.1, None], [5.2], None], pa.list_(pa.float32())),
    "lists-of-float64": column([[0.1, None], [5.2], None], pa.list_(pa.float64())),
    "sliced": column([b"x|y", b"a", None, b"b|a"], _STRING).slice(1),
    "sliced-lists": column([[b"x"], [b"a", None], None, [b"b", b"a"]], _LIST).slice(1, 2),
    "64-rows": column([b"a|%d" % k for k in range(64)], _STRING),
    "65-rows": column([None if k == 64 else b"%d" % k for k in range(65)], _STRING),
}
NUMBER_COLUMNS: dict[str, pa.Array] = {
    "signs-and-zeros": column([b"+01", b"00099", b"-0", b"7|8", b"-1"], _STRING),
    "out-of-range": column([b"100", b"99", b"9223372036854775808", b"-9223372036854775809", b"1" * 400], _STRING),
    "last-and-first-int64": column(_EDGES, pa.int64()),
    "int32": column([-1, 0, 99, 100, None], pa.int32()),
    "lists": column([[5, None, 100], [], None], pa.list_(pa.int64())),
    "lists-of-text": column([[b"5", None, b"", b"+6"], []], _LIST),
    "whole-floats": column([5.0, -0.0, 98.0, None, 1e6], pa.float64()),
}
# columns of `number` with texts that are no integers
REFUSED: dict[str, pa.Array] = {
    "letters": column([b"1", b"x", b"2"], _STRING),
    "blank-in-front": column([b"1", b" 1"], _STRING),
    "point": column([b"1.0"], _STRING),
    "fraction": column([1.0, 5.5], pa.float64()),
    "nan": column([float("nan")], pa.float32()),
    "behind-the-kept-values": column([b"1|2|3|x"], _STRING),
    "in-a-list": column([[b"1"], [], [b"2", b"1e3"]], _LIST),
    "sign-alone": column([b"1|+"], _STRING),
    "row-128": column([b"x" if k == 128 else b"1" for k in range(129)], _STRING),
}
_MAP = pa.map_(_STRING, pa.float32())
PAIR_COLUMNS: dict[str, pa.Array] = {
    "text": column([b"a:0.5|b:2", b"a", b"b:x", b"a:", b":4", b"a:1:2", None, b"a:1e39|b:nan|c:-0"], _STRING),
    "lists": column([[b"a:0.5|b", b"b:3"], [None, b""], []], _LIST),
    "map": column([[(b"a", 0.5), (b"a|b:c", None), (b"", 3.0)], None, [], [("价格带".encode(), -0.0)]], _MAP),
    "map-sliced": column([[(b"x", 9.0)], [(b"a", 0.5)], None, [(b"b", None), (b"a", 1.5)]], _MAP).slice(1),
    "map-of-integers": column([[(7, 2**63 - 1), (-3, None)], []], pa.map_(pa.int64(), pa.int64())),
    "numbers-without-weights": column([7, None, -3], pa.int64()),
}
GOOD = {
    "text": TEXT_COLUMNS["one-row"],
    "number": column([1], pa.int64()),
    "pair": column([b"a:2"], _STRING),
    "number_pair": column([1], pa.int32()),
}
