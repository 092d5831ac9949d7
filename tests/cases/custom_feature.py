"""custom_feature: its variants, and named columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column
from cases.udfs import UDFS


def _feature(name: str, *fields: str, **keys: Any) -> dict[str, Any]:
    inputs = [f"item:{field}" for field in fields]
    return {"feature_type": "custom_feature", "operator_name": name, "expression": inputs, "separator": "|", **keys}


IDS = {"value_dim": 0, "hash_bucket_size": 1000}
FEATURES: dict[str, dict[str, Any]] = {
    "edit": _feature("EditDistance", "a", "b", operator_lib_file="pyfg/lib/libedit_distance.so", is_op_thread_safe=False),
    "edit-buckets": _feature("EditDistance", "a", "b", encoding="latin", boundaries=[1, 3, 5], value_dim=0, default_value="2"),
    "formula": _feature("SeqExpr", "x", "y", formula="x - y * 2 > 0 ? sqrt(abs(x)) : y", boundaries=[0, 1, 2], value_dim=0),
    "distance": _feature("SeqExpr", "x", "y", "x2", "y2", formula="spherical_distance", boundaries=[100, 1000], value_dim=0),
    "arithmetic": _feature("arithmetic", "n", "m", boundaries=[-100, 0, 10, 1e6], value_dim=0),
    "numbers": _feature("arithmetic", "n", "m", num_buckets=1000, value_dim=0, default_value="3"),
    "decimals": _feature("arithmetic", "n", "m", **IDS, need_prefix=True, default_value="none"),
    "reals": _feature(
        "reals", "x", "y", normalizer="method=zscore,mean=1,standard_deviation=2", boundaries=[-1, 0, 1], value_dim=0
    ),
    "option": _feature("loops", "n", step=-3, scale=2, boundaries=[0, 10, 100, 1e4], value_dim=0),
    "hits": _feature("hits", "a", "t", boundaries=[0.5, 1, 5], value_dim=0, default_value=""),
    "lists": _feature("lists", "x", "n", boundaries=[0, 1, 10], value_dim=0),
    "pieces": _feature("pieces", "a", "b", **IDS),
    "pieces-prefixed": _feature("pieces", "a", "b", **IDS, need_prefix=True, default_value="x"),
    "bytes": _feature("fingerprint", "a", num_buckets=2**33, value_dim=0),
    "optional": _feature("optional", "x", hash_bucket_size=100, value_dim=0, default_value=""),
    "digits": _feature("digits", "a", vocab_list=["0", "7"], default_bucketize_value=5, value_dim=0),
    "window": _feature("window", "n", "m", boundaries=[1, 50, 200], value_dim=0),
}
ONE = {name: keys | {"value_dim": 1} for name, keys in FEATURES.items() if name in ("edit", "optional")}
FUNCTIONS = UDFS

_STRING, _LIST = pa.string(), pa.list_(pa.string())
GOOD: dict[str, pa.Array] = {
    "a": column([b"kitten"], _STRING),
    "b": column([b"sitting"], _STRING),
    "t": column([b"title"], _STRING),
    "n": column([3], pa.int64()),
    "m": column([2], pa.int64()),
    **{name: column([0.5], pa.float64()) for name in ("x", "y", "x2", "y2")},
}
COLUMNS: dict[str, dict[str, pa.Array]] = {
    "texts": {
        "a": column(["裙子".encode(), b"a|b|", None, b"", b"x\xff7", b"aeiou 42"], _STRING),
        "b": column(["连衣裙".encode(), b"ab", b"x", b"y", b"\xe4\xb8", b"aeiou 4|"], _STRING),
    },
    "texts-of-lists": {
        "a": column([[b"a", None, b"b"], [b"abc"], [], None], _LIST),
        "b": column([[b"x", b"y"], [b""], [b"z"], [b"q"]], _LIST),
    },
    "integers": {"n": column([7, -7, 0, None, 2**20, -(2**30)], pa.int64()), "m": column([2, -2, 5, 1, 3, -1], pa.int64())},
    "zero": {"n": column([7, 8], pa.int64()), "m": column([0, 2], pa.int64())},
    "integers-as-text": {"n": column([b"7|8|9", b"3.7", b"x", b"-70", None], _STRING)},
    "integers-from-floats": {"n": column([7.9, -7.9, float("nan"), 1e3], pa.float64())},
    "integers-as-text-parameter": {"a": column([-12, 707, None], pa.int64())},
    "lists-of-numbers": {
        "x": column([[1.5, 2.5, None], [], None, [7.0]], pa.list_(pa.float32())),
        "n": column([[1, 2, 3], [4], [3, -1, 3], None], pa.list_(pa.int32())),
    },
    "floats": {"x": column([1.0, -5.5, float("nan"), float("inf"), 1e300, 150.0, 5.0, None], pa.float64())},
    "no-rows": {name: values.slice(0, 0) for name, values in GOOD.items()},
}
MISFITS: dict[str, dict[str, pa.Array]] = {
    "texts": {"a": column([b"a|b"], _STRING), "b": column([b"x|y|z"], _STRING)},
    "numbers": {"n": column([[1, 2, 3]], pa.list_(pa.int64())), "m": column([[1, 2]], pa.list_(pa.int64()))},
}
