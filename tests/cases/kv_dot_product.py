"""kv_dot_product: its variants, and named columns (query, document)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column


def _feature(**keys: Any) -> dict[str, Any]:
    return {"feature_type": "kv_dot_product", "query": "user:query", "document": "item:document", "separator": "|", **keys}


BOUNDARIES = {"boundaries": [-1, 0, 0.15, 0.5, 1, 2]}
FEATURES: dict[str, dict[str, Any]] = {
    "plain": _feature(),
    "default": _feature(default_value="0.1"),
    "delimiter": _feature(kv_delimiter="="),
    "bucket": _feature(**BOUNDARIES, normalizer="method=zscore,mean=0.1,standard_deviation=0.3", default_value=""),
}

_STRING, _LIST = pa.string(), pa.list_(pa.string())
_NUMBERS = pa.map_(_STRING, pa.float32())
_MANY = b"|".join(b"k%d:%d" % (k, k % 7) for k in range(100))
COLUMNS: dict[str, tuple[pa.Array, pa.Array]] = {
    "texts": (column([b"a:0.5|b:0.5", b"a|b|c", b"a|b", None, b"a=2|b=3"], _STRING),
              column([b"a:0.5|b:0.5", b"a|b", b"", b"a", b"b=2\x1da=2"], _STRING)),
    "maps": (column([[(b"a", 0.5), (b"b", 0.1)], [(b"a", 1), (b"a", None)], [], None], _NUMBERS),
             column([[(b"b", 0.3), (b"a", 0.7)], [(b"a", 3)], [(b"a", 1)], [(b"a", 1)]], _NUMBERS)),
    "text-and-map": (column([[b"a:0.1", b"b"]], _LIST), column([[(b"a", 0.1), (b"b", 0.2)], [(b"c", 1)]], _NUMBERS)),
    "integers-of-both": (column([[1, 2, 2, None]], pa.list_(pa.int64())), column([[1], [2, 1], [3], None], pa.list_(pa.int32()))),
    "integers-and-texts": (column([[1, 2, 12345678901]], pa.list_(pa.int64())), column([b"1:3|01:9|12345678901:2", b"3|2"], _STRING)),
    "texts-and-integers": (column([b"1:3|01:9|-5:2|-0:8"], _STRING), column([[1, -5], [0, 7]], pa.list_(pa.int64()))),
    "integer-maps": (column([[(1, 2.0), (2, 3.0)]], pa.map_(pa.int32(), pa.float64())), column([1, 2, 3, None], pa.int64())),
    "floats": (column([[1.5, 2.0]], pa.list_(pa.float64())), column([b"1.5:3", b"2:2", b"2.0:2"], _STRING)),
    "repeated-keys": (column([b"a:1|b:2|a:3"], _STRING), column([b"a:1|a:10|b", b"b:x|b:5", b"b:5|b:x"], _STRING)),
    "empty-keys-and-weights": (column([b":2|a:|b"], _STRING), column([b":3", b"a:|:", b"b:4"], _STRING)),
    "many": (column([_MANY], _STRING), column([_MANY, b"k3|k99|nobody", _MANY + b"|k3:50"] * 30, _STRING)),
    "many-documents": (column([b"k1|k50:2"] * 3, _STRING), column([_MANY], _STRING)),
    "not-finite": (column([b"a:inf|b:1e300|c:nan"], _STRING), column([b"a:0", b"b:1e300", b"b:-1e300|b:1e-300", b"c"], _STRING)),
    "no-rows": (column([], _STRING), column([], _LIST)),
}  # fmt: skip
