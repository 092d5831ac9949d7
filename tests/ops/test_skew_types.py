"""No skew, for every feature type: what `transform` writes is bit for bit what `Engine.rank` computes, sequences and host stages included.

The model gives its inputs back, as in `test_skew.py`: numbers as they are, and of ids the sum of their embeddings, whose rows are small
integers, so that the sum is exact and tells which ids were looked up. Types that are there are not here by themselves again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import test_skew
from cases.tokenize_feature import write_models
from identity_model import identity_model

import tvm_rank
from tvm_rank.config.types import FEATURE_TYPES
from tvm_rank.transform.job import Options, transform_files

USERS, ITEMS, DIM, IDS, LENGTH = 3, 150, 8, 500, 3


@tvm_rank.udf
def closeness(query: list[str], title: list[str], *, weight: float = 1.0) -> float | None:
    found = 0
    for word in query:
        if word in title:
            found += 1
    return weight * found / len(title)


LOOK_UP = {"embedding_dim": DIM, "embedding_name": "t", "combiner": "sum"}
HASHED = LOOK_UP | {"hash_bucket_size": IDS}
ROWS: dict[str, dict[str, Any]] = {
    "looked": {"feature_type": "lookup_feature", "map": "user:likes", "key": "item:tags2", "combiner": "mean", "default_value": "-1"},
    "match_ids": {"feature_type": "match_feature", "user": "user:nested", "category": "ALL", "item": "item:tags2", "matchType": "multihit"}
                 | HASHED,
    "dot": {"feature_type": "kv_dot_product", "query": "user:likes", "document": "item:weights"},
    "formula": {"feature_type": "expr_feature", "expression": "exp(a / 50) * sigmoid(b) - log(1 + abs(a))",
                "variables": ["item:a", "user:b"], "default_value": "-7"},
    "combined": {"feature_type": "combine_feature", "expression": "item:tags2", "value_map": {"a": 1, "bé": 0.1}, "combiner": "mean"},
    "masked": {"feature_type": "bool_mask_feature", "expression": ["item:tags2", "item:mask"]} | HASHED,
    "cut": {"feature_type": "slice_feature", "expression": "item:word", "unit": "character", "end": 2} | HASHED,
    "replaced": {"feature_type": "regex_replace_feature", "expression": "item:word", "regex_pattern": "[a-c]", "replacement": "x"} | HASHED,
    "normal": {"feature_type": "text_normalizer", "expression": "item:word", "separator": " ", "parameter": 4 + 8 + 32} | HASHED,
    "tokens": {"feature_type": "tokenize_feature", "expression": "item:word", "vocab_file": "tokenizer.json"} | LOOK_UP,
    "close": {"feature_type": "custom_feature", "operator_name": "closeness", "expression": ["user:tags", "item:tags2"], "weight": 3},
    "helper": {"feature_type": "id_feature", "expression": "user:tags", "stub_type": True},
    "reader": {"feature_type": "combo_feature", "expression": ["feature:helper", "item:word"]} | HASHED,
}  # fmt: skip
GROUP = {
    "ids": {"feature_type": "id_feature", "expression": "user:item", "separator": "|"} | HASHED,
    "price": {"feature_type": "raw_feature", "expression": "user:price", "normalizer": "method=minmax,min=0.1,max=7"},
    "liked": {"feature_type": "lookup_feature", "map": "user:likes", "key": "item:item", "needDiscrete": False, "separator": "|"},
    "ratio": {"feature_type": "expr_feature", "expression": "price / (1 + b)", "variables": ["item:price", "user:b"]},
    "word": {"feature_type": "regex_replace_feature", "expression": "user:item", "regex_pattern": "[0-9]", "replacement": "n"} | HASHED,
    "tokens": {"feature_type": "tokenize_feature", "expression": "user:word", "vocab_file": "tokenizer.json"} | LOOK_UP,
}  # fmt: skip
FG = {
    "features": [
        *({"feature_name": name, **keys} for name, keys in ROWS.items()),
        {
            "sequence_name": "click",
            "sequence_length": LENGTH,
            "features": [{"feature_name": n, **keys} for n, keys in GROUP.items()],
        },
    ]
}
SEQUENCES = [f"click__{name}" for name in GROUP]
SHOWN = [name for name in ROWS if name != "helper"] + SEQUENCES
POOLED = {name for name, keys in ROWS.items() if "embedding_dim" in keys} | {
    f"click__{name}" for name, keys in GROUP.items() if "embedding_dim" in keys
}


def width_of(name: str) -> Any:
    width = DIM if name in POOLED else 1
    return (LENGTH, width) if name in SEQUENCES else width


def make_columns() -> tuple[pa.Table, pa.Table, np.ndarray]:
    """(users, items, the user of each item). Columns of the group that item-side inputs read are there for items, too."""
    rng = np.random.default_rng(7)
    words = ["a", "bé", "長い言葉", "x" * 20, "a b", "7", "Red shirt", "ab,c"]

    def some() -> list[str] | None:
        return None if rng.integers(9) == 0 else [str(w) for w in rng.choice(words, rng.integers(0, 5))]

    users = pa.table(
        {
            "name": ["kitten", None, "a"],
            "tags": pa.array([["a", "7"], None, ["bé", "a", "a"]], pa.list_(pa.string())),
            "likes": ["a:0.5\x1dbé:2\x1d7:1e-3", "", "a:3\x1dab,c:-1"],
            "nested": ["a^a:1,7:2.5|bé^a:0.25", None, "7^a:9,bé:x|a^bé:3"],
            "b": pa.array([0.3, -2.0, None], pa.float32()),
            "v": pa.array([[1.5, 2.0], [0.1, -3.0], [2.0, 2.0]], pa.list_(pa.float64())),
            "click__item": ["a|7;3;;a", "", "bé"],
            "click__price": pa.array([[1.5, None, 3.25], [], [2.0]], pa.list_(pa.float64())),
            "click__word": ["red shirt;blue", None, "裙子"],
        }
    )
    numbers = rng.normal(5, 20, ITEMS)
    sequences = [None if k % 7 == 0 else ";".join(str(w) for w in rng.choice(words, rng.integers(0, 5))) for k in range(ITEMS)]
    items = pa.table(
        {
            "word": [None if k % 9 == 0 else str(rng.choice(words)) for k in range(ITEMS)],
            "tags2": pa.array([some() for _ in range(ITEMS)], pa.list_(pa.string())),
            "mask": pa.array([[True, False, True][: k % 4] for k in range(ITEMS)]).cast(pa.list_(pa.int32())),
            "weights": [None if k % 5 == 0 else f"a:{number!r}\x1d7" for k, number in enumerate(numbers.tolist())],
            "a": pa.array([None if k % 6 == 0 else float(number) for k, number in enumerate(numbers)], pa.float64()),
            "w": pa.array([[float(number), 1 / 3] for number in numbers], pa.list_(pa.float32())),
            "click__item": sequences,
            "click__price": pa.array([[float(n)] * (k % 5) for k, n in enumerate(numbers)], pa.list_(pa.float64())),
            "click__word": sequences[::-1],
        }
    )
    return users, items, rng.integers(0, USERS, ITEMS)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], pa.Table, np.ndarray]:
    """(what the engine gives, what transform wrote, the table)."""
    folder = write_models(tmp_path_factory.mktemp("skew"))
    users, items, owner = make_columns()
    table = np.random.default_rng(5).integers(0, 4096, (IDS, DIM)).astype(np.float32)
    model = identity_model({name: width_of(name) for name in SHOWN})
    brought = {"base_dir": folder, "udfs": (closeness,)}
    tvm_rank.compile(features=FG, model=model, tables={"t": table}, **brought).save(folder / "artifact")
    taken = users.take(pa.array(owner))
    # a training row has each column once: those that features of both sides read are the items' here, and the user's are the same
    rows = pa.table({**{n: taken.column(n) for n in taken.column_names}, **{n: items.column(n) for n in items.column_names}})
    shared = [name for name in users.column_names if name in items.column_names]
    users = pa.table({name: rows.column(name) if name in shared else taken.column(name) for name in users.column_names})
    engine = tvm_rank.load(folder / "artifact", threads=2)
    scores = engine.rank(user=users, items=items, item_request=np.arange(ITEMS))
    pq.write_table(rows, folder / "rows.parquet", row_group_size=60)
    transform_files(FG, [folder / "rows.parquet"], folder / "out", Options(rows=32, **brought))
    return scores, pq.ParquetFile(folder / "out" / "part-00000.parquet").read(), table


@pytest.mark.parametrize("name", SHOWN)
def test_training_and_serving_see_the_same_bits(name: str, both: tuple[dict[str, np.ndarray], pa.Table, np.ndarray]):
    scores, written, table = both
    served, rows = scores[f"{name}_out"], written.column(name).to_pylist()
    if name in SEQUENCES:
        keys = written.column(f"{name}__key_lengths").to_pylist() if name in POOLED else None
        trained = np.zeros((ITEMS, LENGTH, DIM if keys else 1), np.float32)
        for row, values in enumerate(rows):
            elements = np.split(np.array(values), np.cumsum(keys[row])[:-1]) if keys else np.array(values, np.float32)
            for place, element in enumerate(elements):
                trained[row, place] = summed(table, element) if keys else element
    elif name in POOLED:
        trained = np.stack([summed(table, np.array(row, np.int64)) for row in rows])
    else:
        trained = np.array(rows, np.float32).reshape(ITEMS, 1)
    assert served.dtype == trained.dtype
    assert len(np.unique(trained.reshape(ITEMS, -1), axis=0)) > 3, "the feature says something"
    assert served.tobytes() == trained.tobytes()


def summed(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return table[ids.astype(np.int64)].sum(axis=0, dtype=np.float64).astype(np.float32)


def test_every_type_is_here():
    here = {keys["feature_type"] for keys in (*ROWS.values(), *GROUP.values(), *test_skew.FEATURES.values())}
    assert here == set(FEATURE_TYPES)
