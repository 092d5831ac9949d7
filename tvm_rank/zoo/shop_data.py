"""The raw columns of `shop.py`: users and items with gaps, text in several scripts, lists, and clicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.zoo.deepfm_data import BRANDS, CATEGORIES, CITIES, GENDERS, TAGS
from tvm_rank.zoo.workload import REQUEST_COLUMN

Column = Callable[[np.random.Generator, int], pa.Array]
STRINGS = pa.list_(pa.string())
LONGEST = 60  # clicks of a user
NODES = 127  # of the tree of `tdm.py`, its leaves the last 64
SCENARIOS = ("home", "search", "cart")


def _gaps(rng: np.random.Generator, values: Sequence[Any], kind: pa.DataType, share: float = 0.05) -> pa.Array:
    return pa.array(values, kind, mask=rng.random(len(values)) < share)


def _words(rng: np.random.Generator, words: Sequence[str], rows: int, longest: int, shortest: int = 0) -> list[list[str]]:
    counts = rng.integers(shortest, longest + 1, rows)
    return [[words[k] for k in rng.integers(0, len(words), n)] for n in counts]


def _item_ids(rng: np.random.Generator, count: int) -> list[str]:
    return [f"sku-{k}" for k in rng.zipf(1.3, count) % 5000]


def _clicks(rows: int, draw: Callable[[int], list[str]]) -> pa.Array:
    """Lists of the same lengths for all columns of a sequence: they come from the row alone. The first user has clicked on nothing."""
    counts = [0 if row == 0 else 1 + (37 * row) % LONGEST for row in range(rows)]
    return pa.array([draw(n) for n in counts], STRINGS)


def _choice(words: Sequence[str]) -> Column:
    return lambda rng, rows: _gaps(rng, rng.choice(words, rows).tolist(), pa.string())


USER: dict[str, Column] = {
    "user_id": lambda rng, n: _gaps(rng, [f"u{k:06d}" for k in rng.integers(0, 10**6, n)], pa.string()),
    "gender": _choice(GENDERS),
    "city": _choice(CITIES),
    "hour": lambda rng, n: _gaps(rng, rng.integers(0, 24, n).tolist(), pa.int64()),
    "age": lambda rng, n: _gaps(rng, rng.integers(14, 90, n).tolist(), pa.int64()),
    "scenario": lambda _rng, n: pa.array([SCENARIOS[k % len(SCENARIOS)] for k in range(n)], pa.string()),
    "friends": lambda rng, n: pa.array(_words(rng, [f"u{k:06d}" for k in range(500)], n, 12), STRINGS),
    "clicked": lambda rng, n: pa.array(
        [rng.integers(NODES // 2, NODES, 1 + k % 9).tolist() for k in range(n)], pa.list_(pa.int64())
    ),
    "history__item": lambda rng, n: _clicks(n, lambda count: _item_ids(rng, count)),
    "history__category": lambda rng, n: _clicks(n, lambda count: rng.choice(CATEGORIES, count).tolist()),
}
ITEM: dict[str, Column] = {
    "item_id": lambda rng, n: pa.array(_item_ids(rng, n), pa.string()),
    "category": _choice(CATEGORIES),
    "brand": _choice([*BRANDS, "unheard of", ""]),
    "tags": lambda rng, n: _gaps(rng, _words(rng, TAGS, n, 4), STRINGS),
    "price": lambda rng, n: _gaps(rng, np.exp(rng.normal(2.5, 1, n)).round(2).tolist(), pa.float32()),
    "node": lambda rng, n: pa.array(rng.integers(0, NODES, n), pa.int64()),
    "neighbour__item": lambda rng, n: pa.array([_item_ids(rng, 1 + k % 5) for k in range(n)], STRINGS),
    "neighbour__around": lambda rng, n: pa.array(
        [["|".join(_item_ids(rng, 3)) for _ in range(1 + k % 5)] for k in range(n)], STRINGS
    ),
}


def user_table(rng: np.random.Generator, requests: int, fields: set[str]) -> pa.Table:
    """The user and context columns among `fields`, one row per request; the number of the request where there is none."""
    columns = {name: draw(rng, requests) for name, draw in USER.items() if name in fields}
    return pa.table(columns or {"request_id": pa.array(range(requests), pa.int64())})


def item_table(rng: np.random.Generator, requests: int, items: int, fields: set[str]) -> pa.Table:
    """The item columns among `fields`: `items` rows per request, request after request, and the column `request`."""
    columns = {name: draw(rng, requests * items) for name, draw in ITEM.items() if name in fields}
    return pa.table({**columns, REQUEST_COLUMN: pa.array(np.repeat(np.arange(requests, dtype=np.int32), items))})
