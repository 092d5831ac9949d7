"""raw_feature: its variants, and named columns. Fields: `one` (a number a row) and `three` (three numbers a row, in lists or text)."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa

from cases.columns import column

NORMALIZERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "minmax": {"normalizer": "method=minmax,min=0.1,max=0.8"},
    "zscore": {"normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"},
    "log10": {"normalizer": "method=log10,threshold=0.05,default=-5"},
    "formula": {"normalizer": "method=expression,expr=x>16?16:x*2-1/4"},
}
_DEFAULTS = {"": {}, "nodefault": {"default_value": ""}, "default": {"default_value": "7.25"}}
BOUNDARIES = {"boundaries": [-1, -1, 0, 0.05, 0.1, 0.5, 1, 2, 16, 1e30]}
_COUNTS = (32, 33, 257)  # of boundaries: those that are compared at once, and those that are halved before


def _feature(field: str, *parts: dict[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {"feature_type": "raw_feature", "expression": f"item:{field}", "separator": "|"}
    for part in parts:
        keys |= part
    return keys


def _variants(*axes: dict[str, dict[str, Any]], suffix: str = "", extra: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "".join(names) + suffix: _feature("one", *(axis[name] for axis, name in zip(axes, names, strict=True)), extra or {})
        for names in itertools.product(*axes)
    }


_THREE = {"value_dim": 3}
FEATURES: dict[str, dict[str, Any]] = {
    **_variants(NORMALIZERS, _DEFAULTS),
    **_variants(NORMALIZERS, _DEFAULTS, suffix="bucket", extra=BOUNDARIES),
    "oneboundary": _feature("one", {"boundaries": [0.5], "default_value": ""}),
    **{f"{n}boundaries": _feature("one", {"boundaries": [-3.0, -3.0, *(k / 8 for k in range(n - 2))]}) for n in _COUNTS},
    "endsofboundaries": _feature("one", {"boundaries": [-3e38, *(k / 8 for k in range(62)), 3e38]}),
    "libm": _feature("one", {"normalizer": "method=expression,expr=sigmoid(x)+sqrt(abs(x))"}),
    "three": _feature("three", _THREE),
    "threeexpanded": _feature("three", _THREE, {"default_value": "2.5"}),
    "threedefaults": _feature("three", _THREE, {"default_value": "1|2.5|-3"}, NORMALIZERS["minmax"]),
    "threebuckets": _feature("three", _THREE, BOUNDARIES, {"default_value": ""}),
    "threedefaultbuckets": _feature("three", _THREE, BOUNDARIES, {"default_value": "1|2|-1"}, NORMALIZERS["zscore"]),
}

_STRING, _LIST = pa.string(), pa.list_(pa.string())
_NAN, _INF = float("nan"), float("inf")
_TEXTS = [
    b"1", b"-1.5", b"+.5", b"1.", b"1e3", b"0.1", b"0.05", b"0.8", b"x", b"", None, b"nan", b"-inf", b"1e39", b"1e-50", b"-0", b" 1",
    b"0x10", b"1_0", b"|3|", b"\x1d", b"16777217", b"1" * 400, b"0." + b"0" * 300 + b"1", b"1\0", "１".encode(), b"0.30000001192092896",
]  # fmt: skip
_NUMBERS = [0.1, -0.0, 0.05, 1.0, 3.0, 16.0, 16777217.0, None, _NAN, _INF, -_INF, 0.8, 1e-40]
ONE_COLUMNS: dict[str, pa.Array] = {
    "texts": column(_TEXTS, _STRING),
    "lists-of-text": column([[text] for text in _TEXTS if text != b"|3|"] + [None, [], [None], [None, b"4"]], _LIST),
    "float32": column([*_NUMBERS, 3e38], pa.float32()),
    "float64": column([*_NUMBERS, 1e39, 5e-324], pa.float64()),
    "int32": column([0, -1, 2**31 - 1, -(2**31), 16777217, None], pa.int32()),
    "int64": column([0, 2**60 + 2**36 + 1, 2**63 - 1, -(2**63), None], pa.int64()),
    "lists-of-float64": column([[number] for number in _NUMBERS] + [None, []], pa.list_(pa.float64())),
    "lists-of-int64": column([[2**60 + 2**36 + 1], [None], [], None], pa.list_(pa.int64())),
    "all-null": column([None] * 65, pa.float32()),
    "all-null-text": column([None] * 2, _STRING),
    "no-rows": column([], pa.float64()),
    "no-rows-of-text": column([], _STRING),
    "one-row": column([0.3], pa.float32()),
    "sliced": column([7.0, 0.1, None, 0.2], pa.float32()).slice(1),
    "129-rows": column([None if k % 5 == 0 else k / 8 for k in range(129)], pa.float64()),
}
THREE_COLUMNS: dict[str, pa.Array] = {
    "texts": column([b"1|2|3", b"|1\x1d2||x|", None, b"", b"nan|inf|-0"], _STRING),
    "lists-of-text": column([[b"1", b"2", None, b"3"], [b"a|b", b"1", b"2"], []], _LIST),
    "lists-of-float32": column([[0.1, None, _NAN], None, []], pa.list_(pa.float32())),
    "lists-of-int32": column([[None, None, None], [1, -2, 3]], pa.list_(pa.int32())),
    "lists-sliced": column([[9.0], [1.0, 2.0, 3.0], None], pa.list_(pa.float64())).slice(1),
}
# field, column: another count of numbers than value_dim
REFUSED: dict[str, tuple[str, pa.Array]] = {
    "two-texts": ("one", column([b"1", b"1|2"], _STRING)),
    "two-of-three": ("three", column([b"1|2|3", None, b"1|2"], _STRING)),
    "four-of-three": ("three", column([[1.0, 2.0, 3.0, 4.0]], pa.list_(pa.float32()))),
    "dropped-element": ("three", column([[b"1", None, b"2"]], _LIST)),
    "row-128": ("one", column([[1, 2] if k == 128 else [1] for k in range(129)], pa.list_(pa.int64()))),
    "scalar-numbers": ("three", column([None, 1.0], pa.float64())),
    "scalar-nulls": ("three", column([None, None], pa.int32())),
}
GOOD = {"one": column([1.0], pa.float32()), "three": column([b"1|2|3"], _STRING)}
