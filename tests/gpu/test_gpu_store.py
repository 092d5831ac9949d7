"""Item stores on an emulated GPU: made on the host, read there; scores are those of NumPy, whatever is computed ahead."""

from __future__ import annotations

import functools
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest

import tvm_rank
from tvm_rank.artifact import store
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights

pytestmark = pytest.mark.usefixtures("emulated")
ITEMS, DIM, ROWS = 40, 3, 20
KINDS = {"none": ("rows", "number"), "ids": ("columns", "text"), "dense": ("columns", "number")}  # level -> layout, keys


def features() -> dict[str, Any]:
    def ids(name: str, field: str, group: str) -> dict[str, Any]:
        return {"feature_name": name, "feature_type": "id_feature", "expression": field, "hash_bucket_size": ROWS} | {
            "embedding_dim": DIM,
            "group": group,
        }

    price = {"feature_name": "price", "feature_type": "raw_feature", "expression": "item:price", "group": "items"}
    return {"features": [ids("city", "user:city", "users"), ids("brand", "item:brand", "items"), price]}


def model() -> onnx.ModelProto:
    graph = GraphWriter("small", {"users": (DIM,), "items": (DIM + 1,)})
    weights = dense_weights(np.random.default_rng(1), {"a": (2 * DIM + 1, 8), "b": (8, 1)})
    hidden = graph.dense(graph.node("Concat", "users", "items", axis=1), "a", weights, "Relu")
    return graph.model(graph.dense(hidden, "b", weights))


def items(keys: str, count: int = ITEMS, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "key": pa.array([key(keys, k) for k in range(count)]),
            "brand": [None if k % 7 == 3 else f"brand {k * 5 % 11}" for k in range(count)],
            "price": pa.array(rng.normal(size=count).astype(np.float32), mask=np.arange(count) % 5 == 2),
        }
    )


def key(keys: str, k: int) -> Any:
    return f"item {k * 7919}" if keys == "text" else k * 7919 - 50_000


def tables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {name: rng.normal(size=(ROWS, DIM)).astype(np.float32) for name in ("city", "brand")}


Make = Callable[[str], pathlib.Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The folder of an artifact by its level; each is compiled once."""
    known: dict[str, pathlib.Path] = {}

    def of(level: str) -> pathlib.Path:
        if level not in known:
            layout, keys = KINDS[level]
            options = {"items": items(keys), "item_key": "key", "store_layout": layout, "materialize": level}
            artifact = tvm_rank.compile(features=features(), model=model(), tables=tables(), target="cuda-sm_90", **options)
            known[level] = tmp_path_factory.mktemp(level) / "artifact"
            artifact.save(known[level])
        return known[level]

    return of


def wanted(user: list[str], of: list[int], rows: list[int], table: pa.Table) -> np.ndarray:
    """Scores from the same features of a store without keys: -1 are items that are not there."""
    known = {int(k): table.slice(int(k), 1).to_pylist()[0] for k in set(rows) - {-1}} | {-1: {"brand": None, "price": None}}
    given, arrays = tables(), {t.name: onnx.numpy_helper.to_array(t) for t in model().graph.initializer}
    ids = hashed()({"city": [user[r] for r in of], "brand": pa.array([known[r]["brand"] for r in rows], pa.string())})
    prices = np.array([[known[r]["price"] or 0] for r in rows], np.float32)
    parts = [_pooled(given[name], ids[name]) for name in ("city", "brand")]
    x = np.concatenate([*parts, prices], axis=1)
    hidden = np.maximum(x @ arrays["a_w"] + arrays["a_b"], 0)
    return 1 / (1 + np.exp(-(hidden @ arrays["b_w"] + arrays["b_b"])))


@functools.cache
def hashed() -> Any:
    """The ids of both features."""
    return tvm_rank.compile_features({"features": features()["features"][:2]})


def _pooled(table: np.ndarray, found: Any) -> np.ndarray:
    ends = np.cumsum(found.lengths)
    return np.stack([table[found.values[end - n : end]].sum(axis=0) for end, n in zip(ends, found.lengths, strict=True)])


@pytest.mark.parametrize("level", KINDS)
def test_items_of_a_store_score_as_their_fields(level: str, made: Make):
    (_layout, keys), engine = KINDS[level], tvm_rank.load(made(level))
    assert engine.manifest.store[0].materialized == level
    for count, requests in ((1, 1), (17, 1), (60, 3)):
        rng = np.random.default_rng(count)
        rows, of = [*rng.integers(0, ITEMS, count - 1).tolist(), -1], (np.arange(count) % requests).tolist()
        users = [f"city {k}" for k in rng.integers(0, 9, requests)]
        got = engine.rank({"city": users}, [key(keys, row if row >= 0 else 10**6) for row in rows], of if requests > 1 else None)
        np.testing.assert_allclose(got["score"], wanted(users, of, rows, items(keys)), rtol=0, atol=1e-5)
        assert got.missing.tolist() == [count - 1]
    assert tvm_rank.check(made(level), rounds=1).ok


def test_a_request_with_ids_is_one_copy_there(made: Make, emulated):
    engine = tvm_rank.load(made("dense"))
    ask = {"user": {"city": ["city 1"]}, "item_ids": [key("number", k) for k in range(9)]}
    engine.rank(**ask)
    copies = emulated.emulated_copies()
    engine.rank(**ask)
    assert emulated.emulated_copies() - copies == 1 + len(engine.manifest.outputs) + len(engine.manifest.refusals)


def test_ids_of_the_other_kind_and_no_ids(made: Make):
    engine = tvm_rank.load(made("dense"))
    with pytest.raises(tvm_rank.InputError, match="the keys of the item store"):
        engine.rank({"city": ["a"]}, ["text"])
    assert engine.rank({"city": ["a"]}, pa.array([], pa.int64()))["score"].shape == (0, 1)


def test_refresh_needs_no_gpu(made: Make, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    folder = pathlib.Path(shutil.copytree(made("dense"), tmp_path / "copy"))
    new = items("number", 25, seed=4)
    with monkeypatch.context() as gone:
        gone.setenv("EMULATED_GPUS", "0")
        assert tvm_rank.refresh(folder, new).store[0].rows == 25
        with pytest.raises(tvm_rank.ArtifactError, match="no GPU"):
            tvm_rank.load(folder)
    rows = [24, 0, -1, 7]
    got = tvm_rank.load(folder).rank({"city": ["city 5"]}, [key("number", row if row >= 0 else 30) for row in rows])
    np.testing.assert_allclose(got["score"], wanted(["city 5"], [0] * 4, rows, new), rtol=0, atol=1e-5)
    assert got.missing.tolist() == [2]


def test_what_does_not_fit_is_refused_with_its_sizes(made: Make, monkeypatch: pytest.MonkeyPatch):
    manifest = store.read(made("dense"))
    monkeypatch.setenv("EMULATED_FREE", "1000000")
    bytes_of_tables = sum(manifest.files[stack.file].bytes for stack in manifest.stacks)
    with pytest.raises(tvm_rank.ArtifactError) as refused:
        tvm_rank.load(made("dense"))
    text = str(refused.value)
    assert f"tables {bytes_of_tables:,}, item store " in text
    assert "and 1,000,000 of 8,589,934,592 are free" in text
