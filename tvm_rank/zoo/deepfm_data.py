"""The shop of `deepfm.py`: its feature configuration, users, queries and items, in several scripts and with gaps.

All feature types that have text, number and list forms occur, and so do the awkward values: nulls, empty strings, empty lists,
text that is longer than a cache line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.zoo.workload import REQUEST_COLUMN

DIM = 8
TABLE_ROWS = {
    "user_id": 2000, "gender": 4, "age_band": 7, "city": 100, "hour": 24, "category": 200, "term": 1000,
    "item_id": 5000, "brand": 9, "tag": 300, "city_category": 3000,
}  # fmt: skip
PRICE_LEVELS = [5.0, 10.0, 20.0, 50.0, 100.0]

USER_FIELDS, USER_NUMBERS = 9, 2
ITEM_FIELDS, ITEM_NUMBERS = 6, 3

CITIES = [
    "Berlin",
    "München",
    "東京",
    "São Paulo",
    "Москва",
    "القاهرة",
    "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
    "",
]
CATEGORIES = ["shoes", "Bücher", "お茶", "phones", "jardín", "игрушки", "toys", "music", "garden", "☕ coffee"]
BRANDS = {"Acme": 2, "Ærø": 3, "Nord": 4, "花王": 5, "Őrség": 6, "Zeta": 7, "Kilo": 8}
TERMS = ["red", "blue", "grün", "running", "緑茶", "für", "кофе", "small", "large", "wireless", "vintage", "книга"]
TAGS = ["new", "sale", "eco", "handgemacht", "限定", "gift", "refurbished", "été"]
GENDERS = ["female", "male", "diverse", ""]


def _id(name: str, expression: str | list[str], group: str, *, table: str | None = None, **more: Any) -> dict[str, Any]:
    kind = "id_feature" if isinstance(expression, str) else "combo_feature"
    table = table or name
    entry: dict[str, Any] = {
        "feature_name": name,
        "feature_type": kind,
        "expression": expression,
        "value_type": "string",
        "default_value": "",
    }
    if not more.keys() & {"num_buckets", "vocab_list", "vocab_dict"}:
        entry["hash_bucket_size"] = TABLE_ROWS[table]
    return entry | {"embedding_dim": DIM, "embedding_name": table, "combiner": "mean", "group": group} | more


def _raw(name: str, expression: str, **more: Any) -> dict[str, Any]:
    return {"feature_name": name, "feature_type": "raw_feature", "expression": expression, "value_type": "float"} | more


def feature_config() -> dict[str, Any]:
    """fg.json. In each group the features with embeddings come first: the factorization machine takes that part."""
    return {
        "hash_function": "farm",
        "features": [
            _id("user_id", "user:user_id", "user", default_value="nobody"),
            _id("gender", "user:gender", "user", vocab_list=["<none>", "<other>", "female", "male"], default_value="<none>",
                default_bucketize_value=1),
            _raw("age_band", "user:age", default_value="0", boundaries=[1, 18, 25, 35, 45, 60], embedding_dim=DIM,
                 embedding_name="age_band", combiner="sum", group="user"),
            _id("user_city", "user:city", "user", table="city", need_prefix=True),
            _id("hour", "context:hour", "user", value_type="int64", num_buckets=24, default_value="0"),
            _id("interests", "user:interests", "user", table="category"),
            _id("affinity", "user:affinity", "user", table="category", weighted=True, combiner="sum"),
            _id("query_terms", "context:query", "user", table="term", combiner="sqrtn"),
            _id("last_tags", "user:last_tags", "user", table="tag", separator=",", value_dim=2),
            _raw("budget", "user:budget", normalizer="method=log10,threshold=1,default=0", group="user"),
            _raw("age", "user:age", normalizer="method=zscore,mean=38.5,standard_deviation=12.25", group="user"),
            _id("item_id", "item:item_id", "item"),
            _id("category", "item:category", "item"),
            _id("brand", "item:brand", "item", vocab_dict=BRANDS, default_bucketize_value=1),
            _id("tags", "item:tags", "item", table="tag"),
            _id("title_terms", "item:title", "item", table="term", combiner="max"),
            _id("city_category", ["user:city", "item:category"], "item"),
            _raw("price", "item:price", normalizer="method=expression,expr=(ln(1+(x>0?x:0))-2.5)/0.8", group="item"),
            _raw("rating", "item:rating", normalizer="method=minmax,min=1,max=5", default_value="0.5", group="item"),
            _raw("clicks", "item:clicks", normalizer="method=log10,threshold=0.5,default=-1", group="item"),
            {"feature_name": "query_match", "feature_type": "overlap_feature", "query": "context:query", "title": "item:title",
             "method": "query_common_ratio"},
            _raw("price_level", "item:price", default_value="0", boundaries=PRICE_LEVELS),
        ],
    }  # fmt: skip


def _gaps(rng: np.random.Generator, values: Sequence[Any], share: float) -> list[Any]:
    """The values as a list, with about `share` of them replaced by None."""
    return [None if missing else value for value, missing in zip(values, rng.random(len(values)) < share, strict=True)]


def _words(rng: np.random.Generator, words: Sequence[str], rows: int, longest: int) -> list[list[str]]:
    """A list of 0 to `longest` words for each row; a word may repeat."""
    return [[words[k] for k in rng.integers(0, len(words), n)] for n in rng.integers(0, longest + 1, rows)]


def user_table(rng: np.random.Generator, requests: int) -> pa.Table:
    """The user and context columns, one row per request."""
    strings = pa.list_(pa.string())
    weighted = [[f"{word}:{rng.random():.3f}" for word in words] for words in _words(rng, CATEGORIES, requests, 4)]
    columns = {
        "user_id": pa.array(_gaps(rng, [f"u{k:06d}" for k in rng.integers(0, 10**6, requests)], 0.1), pa.string()),
        "gender": pa.array(_gaps(rng, rng.choice(GENDERS, requests).tolist(), 0.1), pa.string()),
        "age": pa.array(_gaps(rng, rng.integers(14, 90, requests).tolist(), 0.15), pa.int64()),
        "city": pa.array(_gaps(rng, rng.choice(CITIES, requests).tolist(), 0.1), pa.string()),
        "interests": pa.array(_gaps(rng, _words(rng, CATEGORIES, requests, 5), 0.1), strings),
        "affinity": pa.array(_gaps(rng, weighted, 0.1), strings),
        "last_tags": pa.array([",".join(words) for words in _words(rng, TAGS, requests, 3)], pa.string()),
        "budget": pa.array(_gaps(rng, np.exp(rng.normal(4, 2, requests)).tolist(), 0.1), pa.float64()),
        "hour": pa.array(_gaps(rng, rng.integers(0, 24, requests).tolist(), 0.05), pa.int64()),
        "query": pa.array(_gaps(rng, _words(rng, TERMS, requests, 4), 0.05), strings),
    }
    return pa.table(columns)


def item_table(rng: np.random.Generator, requests: int, items: int) -> pa.Table:
    """The item columns: `items` rows per request, request after request, and the column `request`."""
    rows = requests * items
    strings = pa.list_(pa.string())
    ratings = [f"{x:.1f}" if x < 5 else "" for x in rng.uniform(1, 5.4, rows)]
    columns = {
        "item_id": pa.array([f"sku-{k}" for k in rng.zipf(1.3, rows) % 50_000], pa.string()),
        "category": pa.array(_gaps(rng, rng.choice(CATEGORIES, rows).tolist(), 0.05), pa.string()),
        "brand": pa.array(_gaps(rng, rng.choice([*BRANDS, "unheard of", ""], rows).tolist(), 0.05), pa.string()),
        "tags": pa.array(_gaps(rng, _words(rng, TAGS, rows, 4), 0.1), strings),
        "title": pa.array(_gaps(rng, _words(rng, TERMS, rows, 7), 0.05), strings),
        "price": pa.array(_gaps(rng, np.exp(rng.normal(2.5, 1, rows)).round(2).tolist(), 0.05), pa.float32()),
        "rating": pa.array(_gaps(rng, ratings, 0.05), pa.string()),
        "clicks": pa.array(_gaps(rng, rng.zipf(1.5, rows).clip(0, 10**9).tolist(), 0.1), pa.int64()),
        REQUEST_COLUMN: pa.array(np.repeat(np.arange(requests, dtype=np.int32), items)),
    }
    return pa.table(columns)
