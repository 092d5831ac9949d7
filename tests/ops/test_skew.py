"""No skew: what `transform` writes for training is bit for bit what `Engine.rank` computes for the same rows.

The model gives its inputs back: ids as they are, dense numbers as they are, and the sum of embeddings, whose rows are small integers, so
that the sum is exact and tells which ids were looked up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from identity_model import engine_of

from tvm_rank.transform.job import Options, transform_files

OPTIMIZED = True  # see tests/conftest.py

USERS, ITEMS, DIM, IDS = 3, 400, 16, 1000
FEATURES: dict[str, dict[str, Any]] = {
    "id": {"feature_type": "id_feature", "expression": "item:word", "hash_bucket_size": IDS, "value_dim": 1, "default_value": "none",
           "separator": "|"},
    "user_id": {"feature_type": "id_feature", "expression": "user:name", "num_buckets": IDS, "value_dim": 1, "default_value": "7"},
    "many": {"feature_type": "id_feature", "expression": "item:word", "hash_bucket_size": IDS, "separator": "|", "need_prefix": True,
             "embedding_dim": DIM, "embedding_name": "t", "combiner": "sum"},
    "list": {"feature_type": "id_feature", "expression": "item:words", "hash_bucket_size": IDS, "embedding_dim": DIM,
             "embedding_name": "t", "combiner": "sum"},
    "float_text": {"feature_type": "id_feature", "expression": "item:price", "hash_bucket_size": IDS, "embedding_dim": DIM,
                   "embedding_name": "t", "combiner": "sum"},
    "cross": {"feature_type": "combo_feature", "expression": ["user:name", "item:words"], "hash_bucket_size": IDS, "embedding_dim": DIM,
              "embedding_name": "t", "combiner": "sum"},
    "level": {"feature_type": "raw_feature", "expression": "item:price", "boundaries": [1, 2, 5, 50], "default_value": "3",
              "normalizer": "method=zscore,mean=1,standard_deviation=3"},
    "price": {"feature_type": "raw_feature", "expression": "item:price", "normalizer": "method=log10,threshold=0.5,default=-1"},
    "text_price": {"feature_type": "raw_feature", "expression": "item:text_price", "normalizer": "method=minmax,min=0.1,max=77"},
    "vector": {"feature_type": "raw_feature", "expression": "item:vector", "value_dim": 2, "default_value": "1,2", "separator": ",",
               "normalizer": "method=expression,expr=sigmoid(x)*3-x^2"},
    "overlap": {"feature_type": "overlap_feature", "query": "user:query", "title": "item:words", "method": "title_common_ratio"},
}  # fmt: skip
POOLED = tuple(name for name, keys in FEATURES.items() if "embedding_dim" in keys)
IDS_OUT = ("id", "user_id", "level")
WIDTHS = {name: DIM if name in POOLED else None if name in IDS_OUT else 2 if name == "vector" else 1 for name in FEATURES}


def make_columns() -> tuple[pa.Table, pa.Table, np.ndarray]:
    """(users, items, the user of each item)."""
    rng = np.random.default_rng(3)
    words = ["", "a", "bé", "長い言葉", "x" * 40, "a|b", "|", "7"]
    prices = rng.normal(5, 20, ITEMS).round(3)
    users = pa.table({"name": pa.array([4, None, 2000], pa.int64()), "query": [["a", "7"], [], ["bé", "a", "a"]]})
    items = pa.table(
        {
            "word": [None if k % 9 == 0 else str(rng.choice(words)) for k in range(ITEMS)],
            "words": [None if k % 8 == 0 else [str(w) for w in rng.choice(words, rng.integers(0, 5))] for k in range(ITEMS)],
            "price": pa.array([None if k % 6 == 0 else float(price) for k, price in enumerate(prices)]),
            "text_price": [None if k % 6 == 0 else repr(float(price)) for k, price in enumerate(prices)],
            "vector": [None if k % 4 == 0 else [float(price), 1 / 3] for k, price in enumerate(prices)],
        }
    )
    return users, items, rng.integers(0, USERS, ITEMS)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], pa.Table, np.ndarray]:
    """(what the engine gives, what transform wrote, the table)."""
    folder = tmp_path_factory.mktemp("skew")
    users, items, owner = make_columns()
    table = np.random.default_rng(5).integers(0, 4096, (IDS, DIM)).astype(np.float32)
    engine = engine_of(folder, FEATURES, WIDTHS, {"t": table}, threads=1)
    scores = engine.rank(user=users, items=items, item_request=owner)
    taken = users.take(pa.array(owner))
    rows = pa.table({**{n: taken.column(n) for n in taken.column_names}, **{n: items.column(n) for n in items.column_names}})
    pq.write_table(rows, folder / "rows.parquet", row_group_size=150)
    fg = {"features": [{"feature_name": name, **keys} for name, keys in FEATURES.items()]}
    transform_files(fg, [folder / "rows.parquet"], folder / "out", Options(rows=64))
    return scores, pq.ParquetFile(folder / "out" / "part-00000.parquet").read(), table


@pytest.mark.parametrize("name", FEATURES)
def test_training_and_serving_see_the_same_bits(name: str, both: tuple[dict[str, np.ndarray], pa.Table, np.ndarray]):
    scores, written, table = both
    served, column = scores[f"{name}_out"], written.column(name)
    if name in POOLED:
        sums = [table[ids].sum(axis=0, dtype=np.float64) if ids else np.zeros(DIM) for ids in column.to_pylist()]
        trained = np.array(sums, np.float32)
        assert len({tuple(row) for row in trained}) > 5
    elif name in IDS_OUT:
        trained = np.array(column.to_pylist(), np.int64).reshape(served.shape)
    else:
        trained = np.array(column.to_pylist(), np.float32).reshape(served.shape)
    assert served.dtype == trained.dtype
    assert served.tobytes() == trained.tobytes()
