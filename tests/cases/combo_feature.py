"""combo_feature: its variants, and named columns. Fields: `left`, `right` and `third`, of any type."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa

from cases.columns import column

VOCABULARY = {
    "vocab_dict": {"a_c": 1, "a_d": 2, "b_c": 3, "b_d": 4, "wordsprefixed_a_c": 5, "7_-3": 6, "a|b": 7, "\0_价格带": 8, "a_c_7": 9},
    "default_bucketize_value": 0,
}
_HASH = {"hash_bucket_size": 1_000_003}
_PREFIXES = {"": {}, "prefixed": {"need_prefix": True}}
_DEFAULTS = {"": {}, "default": {"default_value": "a|b"}}
_WIDTHS = {"": {}, "first": {"value_dim": 1}, "three": {"value_dim": 3}}


def _feature(fields: str, *parts: dict[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {"feature_type": "combo_feature", "expression": fields.split(), "separator": "|"}
    for part in parts:
        keys |= part
    return keys


def _variants(name: str, bucketizer: dict[str, Any], *axes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        name + "".join(names): _feature(
            "user:left item:right", bucketizer, *(axis[key] for axis, key in zip(axes, names, strict=True))
        )
        for names in itertools.product(*axes)
    }


FEATURES: dict[str, dict[str, Any]] = {
    **_variants("hash", _HASH, _PREFIXES, _DEFAULTS, _WIDTHS),
    **_variants("words", VOCABULARY, _PREFIXES),
    "onefieldtwice": _feature("user:left user:left", _HASH),
    "threefields": _feature("user:left item:right context:third", _HASH, {"need_prefix": True}),
    "threefieldsfirst": _feature("context:third user:left item:right", _HASH, {"value_dim": 4, "default_value": "x"}),
}
HASHED = {name: FEATURES[name] for name in ("hash", "hashprefixeddefault", "hashfirst", "onefieldtwice")}

_STRING, _LIST = pa.string(), pa.list_(pa.string())
COLUMNS: dict[str, tuple[pa.Array, pa.Array, pa.Array]] = {
    "several": (column([b"a|b", b"a"], _STRING), column([[b"c", b"d"], [b"c"]], _LIST), column([7, 8], pa.int32())),
    "missing": (column([b"a", None, b"a", b"a"], _STRING), column([[b"c"], [b"c"], [], None], _LIST), column([1, 2, None, 4], pa.int64())),
    "all-null": (column([None] * 3, _STRING), column([None] * 3, _LIST), column([None] * 3, pa.int64())),
    "one-row-for-all": (column([b"a|b"], _STRING), column([b"c", None, b"d"], _STRING), column([7], pa.int64())),
    "one-row-of-null": (column([None], _STRING), column([b"c", b"", b"d"], _STRING), column([7], pa.int64())),
    "one-row": (column([b"a"], _STRING), column([b"c"], _STRING), column([7], pa.int64())),
    "no-rows": (column([], _STRING), column([], _LIST), column([], pa.int64())),
    "no-rows-and-one": (column([], _STRING), column([[b"c"]], _LIST), column([], pa.int64())),
    "numbers": (column([7, None, -(2**63)], pa.int64()), column([-3, 0, -(2**31)], pa.int32()), column([1.5, 2.0, None], pa.float64())),
    "lists-of-numbers": (
        column([[7, None, 2**63 - 1], []], pa.list_(pa.int64())),
        column([[0.1, None], [5.0]], pa.list_(pa.float32())),
        column([[b"x", None, b""], [b"y"]], _LIST),
    ),
    "bytes": (column([b"\0", b"\xff|a\0"], _STRING), column(["价格带".encode(), b"\x1d|"], _STRING), column([b"_", b"_"], _STRING)),
    "long": (column([b"w" * 300, b"a"], _STRING), column([b"x" * 64 + b"|" + b"y" * 65, b"c"], _STRING), column([b"z" * 129, b"z"], _STRING)),
    "separators-at-ends": (column([b"|a|", b"||"], _STRING), column([b"\x1dc|", b"c"], _STRING), column([b"|7", b"7"], _STRING)),
    "many": (
        column([b"|".join(b"%d" % k for k in range(20))], _STRING),
        column([[b"%d" % k for k in range(20)]], _LIST),
        column([[1, 2, 3]], pa.list_(pa.int64())),
    ),
    "65-rows": (
        column([b"a" if k % 7 else None for k in range(65)], _STRING),
        column([k for k in range(65)], pa.int64()),
        column([b"%d" % k * (k % 50) for k in range(65)], _STRING),
    ),
}  # fmt: skip
