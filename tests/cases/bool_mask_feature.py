"""bool_mask_feature: its variants, and named columns. Fields: `values` and `mask`, of any type."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column


def _feature(**keys: Any) -> dict[str, Any]:
    return {"feature_type": "bool_mask_feature", "expression": ["item:values", "item:mask"], "separator": "|", **keys}


FEATURES: dict[str, dict[str, Any]] = {
    "hash": _feature(hash_bucket_size=2**63 - 1),
    "default": _feature(hash_bucket_size=1000, default_value="a|b"),
    "prefix": _feature(hash_bucket_size=2**40, need_prefix=True),
    "two": _feature(hash_bucket_size=2**40, value_dim=2),
    "words": _feature(vocab_list=["a", "b", "7", "-3"], default_bucketize_value=9, need_prefix=False),
    "numbers": _feature(num_buckets=2**62, expression=["item:values", "item:mask"], default_value="5"),
}
TEXTS = {name: keys for name, keys in FEATURES.items() if name != "numbers"}

_TEXT, _LIST = pa.string(), pa.list_(pa.string())
COLUMNS: dict[str, tuple[pa.Array, pa.Array]] = {
    "texts": (
        column([b"1|2|3|4", b"1", b"1|2", b"", None, b"1||3", b"|1", b"1|", b"1|2", b"1|2"], _TEXT),
        column([b"true|false|true|0", b"TRUE", b"tRuE|1|true", b"true", b"1", b"1|1|1", b"1|1", b"1|1", None, b"1"], _TEXT),
    ),
    "what-is-not-true": (
        column([b"1|2|3|4|5|6|7"] * 2, _TEXT),
        column([b"t|yes|01|2|-1| 1|truee", b"tru|TRU\x05|\xff\xff\xff\xff|+1||\0|x"], _TEXT),
    ),
    "lists": (
        column([[b"1", None, b"3", b""], [], None, [b"45", b"6"]], _LIST),
        column([[b"true", b"true", b"1", b"1"], [b"1"], [b"1"], [b"1", None]], _LIST),
    ),
    "integers": (column([[1, 2, None, 4], [5], []], pa.list_(pa.int64())), column([[1, 0, 1, 1], [2], [1]], pa.list_(pa.int32()))),
    "numbers": (column([1, 2, None, 4], pa.int32()), column([1, 0, 1, None], pa.int64())),
    "floats-in-the-mask": (column([1, 2, 3], pa.int32()), column([1.0, 0.0, 1.5], pa.float64())),
    "text-beside-list": (column([b"7|8|9"], _TEXT), column([[b"1", b"0", b"true"], [None, b"1"]], _LIST)),
    "one-mask-for-all": (column([b"1|2", b"3", None], _TEXT), column([b"0|1"], _TEXT)),
    "no-rows": (column([], _TEXT), column([], _LIST)),
    "129-rows": (column([b"1|2|3"] * 129, _TEXT), column([b"1|1" if k % 3 else b"0|1" for k in range(129)], _TEXT)),
}
