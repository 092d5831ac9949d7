"""match_feature: its variants, and named columns (user, category, item)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column

HASH = {"hash_bucket_size": 1_000_003}
BOUNDARIES = {"boundaries": [-1, 0, 0.15, 0.5, 1, 2]}


def _feature(**keys: Any) -> dict[str, Any]:
    sides = {"user": "user:user", "category": "item:category", "item": "item:item"}
    return {"feature_type": "match_feature", **sides, "separator": "|", **keys}


ALL_CATEGORIES, ALL_ITEMS = {"category": "ALL", "matchType": "multihit"}, {"item": "ALL", "matchType": "multihit"}
# few kinds of code: each takes seconds to compile
FEATURES: dict[str, dict[str, Any]] = {
    "number": _feature(normalizer="method=zscore,mean=0.1,standard_deviation=0.3"),
    "default": _feature(normalizer="method=zscore,mean=0.2,standard_deviation=0.1", default_value="-7.5"),
    "literal": _feature(category="ALL", **BOUNDARIES, default_value=""),
    "literal_default": _feature(category="ALL", **BOUNDARIES, default_value="0.15"),
    "hash": _feature(**HASH, match_type="hit", show_category=False, showItem=False, default_value="z"),
    "hash_shown": _feature(**HASH, need_prefix=False),
    "every_category": _feature(**HASH, **ALL_CATEGORIES, showCategory=True),
    "every_item": _feature(**BOUNDARIES, **ALL_ITEMS, default_value=""),
    "everything": _feature(**HASH, **ALL_CATEGORIES | ALL_ITEMS, show_item=True, needWeighting=True),
}
NUMBER_FEATURES = {
    "bare": _feature(num_buckets=10),
    "bare_default": _feature(num_buckets=10, default_value="3", matchType="multihit"),
}

_STRING, _LIST = pa.string(), pa.list_(pa.string())
_MAP = pa.map_(_STRING, _STRING)
_TEXT = b"c1^a:1,b:2|c2^a:3,b:0.5|ALL^a:9"
_MANY = b"|".join(b"c%d^" % c + b",".join(b"i%d:%d.5" % (i, i + c) for i in range(c, c + 7)) for c in range(20))
_SIDES = (column([b"c1", b"c2|c1", b"c3", b"", None, b"ALL"], _STRING), column([b"b|a", b"a", b"a", b"a", b"a", b"a|x|a"], _STRING))
COLUMNS: dict[str, tuple[pa.Array, pa.Array, pa.Array]] = {
    "one-map-for-all": (column([_TEXT], _STRING), *_SIDES),
    "lists": (column([[b"c1^a:1|c2^b:2", None, b"", b"c1^b:x"], [], None, [b"c1^a:1"], [b"c2^a:1", b"c"], [b"ALL^a:1"]], _LIST), *_SIDES),
    "maps": (column([[(b"c1", b"a:1,b:2"), (b"c2", b"a:3")], [(b"c1", None), (b"c2", b"a:4"), (b"c2", b"a:5")], [], None,
                     [(b"c1", b"a:1:2")], [(b"ALL", b"a:x,b:2"), (b"c^1", b"a:0.3|b:2")]], _MAP), *_SIDES),
    "blanks": (column([b" c1 ^ a : 1 ,\tb:2\n| c2^a:3 ,, |", b"\r\n", b"c 1^a b:c d", b"|", b",", b"c1 ^^ a:1"], _STRING), *_SIDES),
    "malformed": (column([b"c1^a:1|c2", b"c1^a:1,b", b"c1^a:1^x", b"c1^", b"^a:1", b"c1^a:1,b:"], _STRING), *_SIDES),
    "repeated": (column([b"c1^a:1,a:2|c2^a:3|c1^a:4,b:5", b"c1^a:1|c1^b:2|c1^a:x"] * 3, _STRING), *_SIDES),
    "integers": (column([b"1^2:3,02:4|-1^2:5"], _STRING), column([1, -1, 2, None], pa.int64()),
                 column([[2], [2, 2], [2], [2]], pa.list_(pa.int32()))),
    "integer-map": (column([[(1, b"2:3"), (-5, b"2:4")]], pa.map_(pa.int64(), _STRING)), column([1, -5], pa.int64()),
                    column([b"2"] * 2, _STRING)),
    "long": (column([b"w" * 70 + b"^" + b"x" * 9 + b":1|" + b"w" * 71 + b"^" + b"x" * 9 + b":2," + b"x" * 8 + b":3"], _STRING),
             column([b"w" * 70, b"w" * 71, b"w" * 72], _STRING), column([b"x" * 9 + b"|" + b"x" * 8], _STRING)),
    "many": (column([_MANY], _STRING), column([b"c%d|c%d" % (k % 23, k % 7) for k in range(80)], _STRING), column([b"i9|i3|i9"], _STRING)),
    "many-in-each-row": (column([_MANY, b"c1^i1:1", _MANY + b"|c3^i3:x,i9:7"] * 3, _STRING), column([b"c3"], _STRING),
                         column([b"i3|i9"], _STRING)),
    "no-rows": (column([], _STRING), column([], _STRING), column([], _LIST)),
}  # fmt: skip
