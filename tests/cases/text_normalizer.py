"""text_normalizer: its variants, and named columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cases.columns import column


def _feature(**keys: Any) -> dict[str, Any]:
    return {"feature_type": "text_normalizer", "expression": "item:text", "hash_bucket_size": 1_000_000, "separator": " ", **keys}


FEATURES: dict[str, dict[str, Any]] = {
    "default": _feature(),
    "nothing": _feature(parameter=0),
    "upper": _feature(parameter=2),
    "lower": _feature(parameter=4, default_value="ABC DEF"),
    "width": _feature(parameter=8),
    "simplified": _feature(parameter=16),
    "filter": _feature(parameter=32, need_prefix=True),
    "split": _feature(parameter=512),
    "everything": _feature(parameter=4 + 8 + 16 + 32 + 512, remove_space=True),
    "short": _feature(parameter=2 + 512, max_length=6, remove_space=True),
}

_STRING, _LIST = pa.string(), pa.list_(pa.string())
COLUMNS: dict[str, pa.Array] = {
    "texts": column(
        [
            b"ABC def",
            "ＡＢｃ！　１".encode(),
            "連衣裙 abc裙子".encode(),
            b"a-b_c, d!",
            None,
            b"",
            "İß ǅ ΑΣ".encode(),
            b" \t\n ",
        ],
        _STRING,
    ),
    "lengths": column([b"abcdef", b"abcdefg", "裙子裙".encode(), "裙子裙a".encode(), "🙂ab".encode()], _STRING),
    "no-utf8": column([b"A\xff", b"\xe4\xb8", "\x80B".encode(), b"a\0b\x1dC\x1eD"], _STRING),
    "lists": column([[b"Ab c", None], [], None, ["裙子".encode(), b"-", b""]], _LIST),
    "integers": column([101, None, -20], pa.int64()),
    "floats": column([1.5, None, 1e20], pa.float64()),
    "no-rows": column([], _STRING),
    "one-for-all": column([b"ABC"], _STRING),
}
