"""lookup_feature: its variants, and named columns (map, key)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column

HASH = {"hash_bucket_size": 1_000_003}
WORDS = {
    "vocab_dict": {
        "1": 1,
        "x": 2,
        "a_1": 3,
        "b_x": 4,
        "miss": 5,
        "c_miss": 6,
        "": 7,
        "words_prefix_key_a_1": 8,
        "words_prefix_key_c_miss": 10,
        "c_": 11,
    },
    "default_bucketize_value": 9,
}
BOUNDARIES = {"boundaries": [-1, 0, 0.5, 1, 2.5, 100]}
_COMBINERS = ("sum", "mean", "avg", "min", "max", "count", "gap_min", "gap_max")


def _feature(**keys: Any) -> dict[str, Any]:
    return {"feature_type": "lookup_feature", "map": "user:map", "key": "item:key", "separator": "|", **keys}


# few kinds of code: each takes a second to compile
FEATURES: dict[str, dict[str, Any]] = {
    **{name: _feature(combiner=name) for name in _COMBINERS},
    **{f"{name}_vector": _feature(combiner=name, value_dim=3) for name in _COMBINERS},
    "default": _feature(default_value="-7.5"),
    "empty_default": _feature(default_value=""),
    "vector_default": _feature(value_dim=2, default_value="1,2"),
    "bucket": _feature(**BOUNDARIES, normalizer="method=minmax,min=0,max=3"),
    "bucket_without_default": _feature(**BOUNDARIES, normalizer="method=minmax,min=1,max=2", default_value="", combiner="max"),
    "bucket_each": _feature(**BOUNDARIES, combiner="", default_value=""),
    "bucket_each_default": _feature(**BOUNDARIES, combiner="", default_value="0.7"),
    "hash": _feature(**HASH, needDiscrete=True),
    "hash_default": _feature(**HASH, need_discrete=True, default_value="z|y", value_dim=1),
    "hash_miss": _feature(**HASH, default_lookup_value="miss"),
    "words_key": _feature(**WORDS, needKey=True, default_lookup_value=""),
    "words_prefix_key": _feature(**WORDS, need_key=True, needPrefix=True, default_lookup_value="miss"),
    "weighted_prefix": _feature(**HASH, need_weighting=True, need_prefix=True, default_value="z"),
}
NUMBER_FEATURES = {
    "number": _feature(num_buckets=10),
    "number_default": _feature(num_buckets=10, default_value="3", need_prefix=True),
}

_STRING, _LIST = pa.string(), pa.list_(pa.string())
_KEYS = column([b"a|b", b"c", b"", b"b|b|a", None, b"a", b"|a||c"], _STRING)
_TEXT_ROWS = [b"a:1\x1db:2", b"a:1\x1db:x", b"c:3", b"b:1,2,3\x1da:4", b"", None, b"a:7\x1da:\x1dc\x1d:5\x1dc:8:9"]
_MANY = b"\x1d".join(b"key%d:%d" % (k, k) for k in range(300))


def _map(rows: list, key: pa.DataType = _STRING, item: pa.DataType = _STRING) -> pa.Array:
    return column(rows, pa.map_(key, item))


COLUMNS: dict[str, tuple[pa.Array, pa.Array]] = {
    "texts": (column(_TEXT_ROWS, _STRING), _KEYS),
    "lists": (column([[b"a:1", b"b:2"], [b"a:1\x1db:2"], [None, b"", b"a"], None, [], [b"a:5"], [b"a:1", b"a:2", b"a:"]], _LIST), _KEYS),
    "keys-without-values": (column([b"a", b"b:1\x1da", b"a:", b"a:1\x1da", b":", b"a\x1d\x1da:2"], _STRING), column([b"a|b"], _STRING)),
    "one-map-for-all": (column([b"a:0.5\x1db:-0.25\x1dc:1e3"], _STRING), _KEYS),
    "one-key-for-all": (column(_TEXT_ROWS, _STRING), column([b"b|a"], _STRING)),
    "maps-to-texts": (_map([[(b"a", b"1"), (b"b", b"1,x,3")], [(b"a", None), (b"c", b"")], None, [], [(b"b", b"2")], [(b"a", b"0x1")],
                            [(b"a", b"1"), (b"a", b"2"), (b"c", b"3"), (b"a", None)]]), _KEYS),
    "maps-to-int64": (_map([[(b"a", 1), (b"b", -(2**63))], [(b"c", 2**53 + 1)], None, [], [(b"b", None)], [(b"a", 7)],
                            [(b"a", 1), (b"a", 2), (b"c", 3)]], item=pa.int64()), _KEYS),
    "maps-to-float32": (_map([[(b"a", 0.1), (b"b", 0.2)]], item=pa.float32()), _KEYS),
    "maps-to-float64": (_map([[(b"a", 0.1), (b"b", float("nan"))], [(b"c", 1e300)]] * 3 + [[(b"a", -0.0)]], item=pa.float64()), _KEYS),
    "integer-keys": (_map([[(1, 0.5), (-2, 1.5), (0, 2.5), (2**63 - 1, 3.5)]], pa.int64(), pa.float64()),
                     column([b"1|01|+1|-2", b"0|-0|00", b"9223372036854775807|9223372036854775808", b"", b"1.0", b"-", b"1"], _STRING)),
    "integer-keys-of-both": (_map([[(1, b"x"), (2, b"y")], None, [(3, b"1")]], pa.int32(), _STRING),
                             column([[1, 2, 3], [1], [None, 3, 1]], pa.list_(pa.int64()))),
    "numbers-as-keys-of-texts": (column([b"1:2\x1d3:4\x1d0.5:6"], _STRING), column([[1.0, 3.0], [0.5], None], pa.list_(pa.float64()))),
    "eight-bytes-and-more": (column([b"12345678:1\x1d123456789:2\x1d1234567:3\x1d" + b"k" * 70 + b":4\x1d" + b"k" * 71 + b":5"], _STRING),
                             column([b"12345678|1234567", b"123456789|" + b"k" * 71, b"k" * 70 + b"|12345679"], _STRING)),
    "nul-bytes": (column([b"a\0:1\x1da:2\x1d\0\0:3\x1d\0:4"], _STRING), column([b"a\0|\0", b"a|\0\0"], _STRING)),
    "many-entries": (column([_MANY], _STRING), column([b"key%d|key%d" % (k, 299 - k) for k in range(130)], _STRING)),
    "many-entries-in-each-row": (column([_MANY, b"a:1", _MANY + b"\x1dkey1:77"] * 3, _STRING),
                                 column([b"key1|key5|key9|nokey|key299|key1"] * 9, _STRING)),
    "many-entries-twice": (column([_MANY + b"\x1d" + _MANY.replace(b":", b":1")], _STRING),
                           column([b"key%d" % k for k in range(70)], _STRING)),
    "many-integers": (_map([[(k % 50, k) for k in range(99)]], pa.int64(), pa.int64()), column(list(range(60)), pa.int64())),
    "no-rows": (column([], _STRING), column([], _LIST)),
    "sliced": (column(_TEXT_ROWS, _STRING).slice(2), _KEYS.slice(2)),
}  # fmt: skip
