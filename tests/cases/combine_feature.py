"""combine_feature: its variants, and named columns. Field: `values`, of any type."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column

COMBINERS = ("sum", "mean", "avg", "min", "max", "count", "gap_min", "gap_max")
WORDS = {"a": 1.5, "b": -2.0, "7": 0.1, "-3": 1e300, "价格带": 4.0, "x" * 40: 5.0, "2.5": 6.0}
BOUNDARIES = {"boundaries": [-1e30, -1, 0, 0.5, 1, 2, 16, 1e30]}


def _feature(combiner: str, **keys: Any) -> dict[str, Any]:
    return {"feature_type": "combine_feature", "expression": "item:values", "separator": "|", "combiner": combiner, **keys}


FEATURES: dict[str, dict[str, Any]] = {
    **{name: _feature(name) for name in COMBINERS},
    **{f"mapped{name}": _feature(name, value_map=WORDS, default_value="2.5") for name in COMBINERS},
    "bucket": _feature("mean", **BOUNDARIES),
    "bucketless": _feature("mean", **BOUNDARIES, default_value=""),
    "integer": _feature("mean", num_buckets=1000, default_value="12"),
    "mappedinteger": _feature("sum", num_buckets=10, value_map=WORDS, default_value="", value_type="int32"),
    "dense64": _feature("sum", value_type="int64"),
    "normalized": _feature("max", normalizer="method=zscore,mean=0.1,standard_deviation=0.3"),
    "normalizeddouble": _feature("max", normalizer="method=minmax,min=0.1,max=0.8", value_type="double"),
}

_TEXT, _LIST = pa.string(), pa.list_(pa.float64())
_NAN, _INF = float("nan"), float("inf")
COLUMNS: dict[str, pa.Array] = {
    "texts": column([b"1|2", b"3", b"", None, b"x|y", b"x|4|", b"nan|1", b"1|nan", b"a|b", b"|", b"7|7|7", b"2.5|-3"], _TEXT),
    "words": column(["价格带|a".encode(), b"x" * 40, b"x" * 41, b"A", b"a" * 1000], _TEXT),
    "lists": column([[1.0, None, 5.0], [None], [], None, [_NAN, 1.0], [1.0, _NAN], [_INF, -_INF], [1e300, 1e300]], _LIST),
    "lists-of-text": column([[b"1", b"", None, b"a|b", b"5"], [], [b"7", b"-3"]], pa.list_(_TEXT)),
    "integers": column([7, None, -3, 2**63 - 1], pa.int64()),
    "lists-of-int64": column([[2**53, 1], [2**63 - 1, -(2**63)]], pa.list_(pa.int64())),
    "floats": column([2.5, None, -0.0, _NAN, 7.0], pa.float32()),
    "one-for-all": column([b"1|2"], _TEXT),
    "no-rows": column([], _TEXT),
    "129-rows": column([None if k % 5 == 0 else [k / 8, -k] for k in range(129)], _LIST),
    "sliced": column([b"9", b"1|2", None], _TEXT).slice(1),
    "many": column([[k / 7 - 5 for k in range(3000)]], _LIST),
}
