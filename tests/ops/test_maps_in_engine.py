"""Features of maps inside an engine: a user's map serves his items, read from record batches and from dicts; and hostile maps."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from identity_model import engine_of

from tvm_rank.config.load import load_config
from tvm_rank.errors import InputError
from tvm_rank.ops.references import REFERENCES

ITEMS = 150
FEATURES = {
    "liked": {"feature_type": "lookup_feature", "map": "user:likes", "key": "item:kinds", "separator": "|", "combiner": "max"},
    "matched": {
        "feature_type": "match_feature",
        "user": "user:nested",
        "category": "item:kind",
        "item": "item:brand",
        "default_value": "-1",
    },
    "dotted": {"feature_type": "kv_dot_product", "query": "user:words", "document": "item:kinds", "separator": "|"},
}
LIKES = [[(b"k%d" % k, float(k)) for k in range(40)], [(b"k1", 5.0), (b"k1", 7.0)], None]
USER = {
    "likes": pa.array(LIKES, pa.map_(pa.string(), pa.float64())),
    "nested": pa.array(["|".join(f"k{c}^" + ",".join(f"b{b}:{c}{b}" for b in range(5)) for c in range(9)), "k1^b1:3", "broken"]),
    "words": pa.array([["k1:2", "k3"], None, ["k7"]]),
}
ITEM = {
    "kinds": pa.array([f"k{k % 50}|k{k % 7}" for k in range(ITEMS)]),
    "kind": pa.array([f"k{k % 11}" for k in range(ITEMS)]),
    "brand": pa.array([f"b{k % 6}" for k in range(ITEMS)]),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engine_of(tmp_path_factory.mktemp("maps"), FEATURES, dict.fromkeys(FEATURES, 1), None, threads=2)


def wanted(users: dict[str, pa.Array], item_request: np.ndarray) -> dict[str, np.ndarray]:
    """The numbers of the definitions, of user columns that are repeated for their items."""
    config = load_config({"features": [{"feature_name": name, **keys} for name, keys in FEATURES.items()]})
    columns = {name: column.take(pa.array(item_request)) for name, column in users.items()} | ITEM
    return {f.name: REFERENCES[f.stem](f, [columns[field.name] for field in f.fields], ITEMS, "std").dense for f in config.features}


def assert_ranked(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, numbers in expected.items():
        np.testing.assert_array_equal(got[f"{name}_out"], numbers)


@pytest.mark.parametrize("as_batch", [False, True], ids=["columns", "record-batches"])
def test_the_maps_of_one_user_serve_all_items(engine, as_batch):
    user = {name: column.slice(0, 1) for name, column in USER.items()}
    request = {"user": pa.table(user), "items": pa.table(ITEM)} if as_batch else {"user": user, "items": ITEM}
    assert_ranked(engine.rank(**request), wanted(user, np.zeros(ITEMS, np.int32)))


def test_each_item_reads_the_maps_of_its_own_user(engine):
    item_request = (np.arange(ITEMS) // 7 % 3).astype(np.int32)
    assert_ranked(engine.rank(user=USER, items=ITEM, item_request=item_request), wanted(USER, item_request))


def test_a_column_that_is_no_map_is_refused_on_both_ways_in(engine):
    user = {name: column.slice(0, 1) for name, column in USER.items()} | {"likes": pa.array([7])}
    for request in ({"user": user, "items": ITEM}, {"user": pa.table(user), "items": pa.table(ITEM)}):
        with pytest.raises(InputError, match="likes"):
            engine.rank(**request)


def test_offsets_of_map_values_that_lead_outside_are_refused(engine):
    offsets = pa.py_buffer(np.array([0, 10**6, 1], np.int32).tobytes())
    values = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"1")])
    broken = pa.MapArray.from_arrays(pa.array([0, 2], pa.int32()), pa.array(["k1", "k2"]), values)
    user = {name: column.slice(0, 1) for name, column in USER.items()} | {"likes": broken}
    with pytest.raises(InputError, match=r"damaged"):
        engine.rank(user=user, items=ITEM)


COUNT = 100_000
HOSTILE = {
    "a-map-of-100000-entries": {"likes": pa.array([[(f"k{k}", 1.0) for k in range(COUNT)]], pa.map_(pa.string(), pa.float64()))},
    "one-key-100000-times": {
        "likes": pa.array(["\x1d".join(["k1:1"] * COUNT)]),
        "nested": pa.array(["k1^" + ",".join(["b1:1"] * COUNT)]),
    },
    "ten-million-bytes": {"likes": pa.array(["x" * 10**7]), "nested": pa.array(["^" * 10**7]), "words": pa.array([":" * 10**7])},
    "separators-only": {"likes": pa.array(["\x1d" * 10**6]), "nested": pa.array(["|" * 10**6]), "words": pa.array(["|" * 10**6])},
    "a-nested-map-of-100000-groups": {"nested": pa.array(["|".join(f"k{k}^b:1" for k in range(COUNT))])},
    "a-vector-of-100000-keys": {"words": pa.array([[f"k{k}" for k in range(COUNT)]])},
}


@pytest.mark.parametrize("columns", HOSTILE.values(), ids=HOSTILE)
def test_hostile_maps_take_bounded_time(engine, columns):
    user = {name: column.slice(0, 1) for name, column in USER.items()} | columns
    started = time.perf_counter()
    engine.rank(user=user, items=ITEM)
    assert time.perf_counter() - started < 10  # a tenth of a second alone; quadratic work would take minutes


def test_a_million_keys_of_one_item_are_looked_up(engine):
    keys = pa.array(["|".join(f"k{k % 60}" for k in range(10**6))])
    user = {name: column.slice(0, 1) for name, column in USER.items()}
    started = time.perf_counter()
    out = engine.rank(user=user, items={"kinds": keys, "kind": pa.array(["k1"]), "brand": pa.array(["b1"])})
    assert out["liked_out"].tolist() == [[39.0]]
    assert time.perf_counter() - started < 20
