"""slice_feature: its variants, and named columns. Field: `values`, of any type."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column

PARTS = {
    "first": (0, 1),
    "middle": (1, 3),
    "last": (-2, None),
    "butlast": (None, -1),
    "far": (7, 99),
    "crossed": (3, 1),
    "ends": (-3, -1),
}


def _feature(start: int | None, end: int | None, **keys: Any) -> dict[str, Any]:
    places = {name: place for name, place in (("start", start), ("end", end)) if place is not None}
    return (
        {"feature_type": "slice_feature", "expression": "item:values", "separator": "|", "hash_bucket_size": 2**63 - 1}
        | places
        | keys
    )


FEATURES: dict[str, dict[str, Any]] = {
    **{name: _feature(*part) for name, part in PARTS.items()},
    **{f"character{name}": _feature(*part, unit="character") for name, part in PARTS.items()},
    "default": _feature(1, 2, default_value="x|y"),
    "prefix": _feature(0, 2, unit="character", need_prefix=True),
    "two": _feature(1, None, value_dim=2),
}

_TEXT, _LIST = pa.string(), pa.list_(pa.string())
COLUMNS: dict[str, pa.Array] = {
    "texts": column([b"a|b|c|d", b"", None, b"abcdef", b"|a||b|", "价格带|é🙂x|".encode(), b"x"], _TEXT),
    "other-bytes": column([b"\x80\x80abc", b"\xff\xfe\x80", b"\xe4\xbb", b"a\0b", b"\x80"], _TEXT),
    "lists": column([[b"a", None, b"b|c", b"", b"d"], [], None, ["价格带".encode()]], _LIST),
    "integers": column([12345, None, -7, -(2**63)], pa.int64()),
    "lists-of-integers": column([[1, None, 345], [-12]], pa.list_(pa.int32())),
    "floats": column([1.5, None, 1e20], pa.float64()),
    "one-for-all": column([b"a|b|c"], _TEXT),
    "no-rows": column([], _TEXT),
    "129-rows": column([b"a|b|c|d"[: k % 8] for k in range(129)], _TEXT),
    "sliced": column([b"9|8|7", b"a|b|c", None], _TEXT).slice(1),
}
