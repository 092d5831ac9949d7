"""materialize: what is computed ahead changes no score, whatever it is, and is made again with the items."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pyarrow as pa
import pytest
from store_cases import ITEMS, KEYS, item_table, small_model
from test_item_store import fields

import tvm_rank
from tvm_rank.cli.main import main

LEVELS = ("ids", "embeddings", "dense")
KEPT = ("ids of feature item_id", "ids of feature tags", "ids of feature level", "numbers of feature price")


@pytest.fixture(scope="module", params=LEVELS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The small model with string keys, materialized."""
    given = {"features": small_model.features(), "model": small_model.model(), "tables": small_model.tables()}
    artifact = tvm_rank.compile(**given, items=item_table("string"), item_key="key", materialize=request.param)
    path = tmp_path_factory.mktemp(request.param) / "artifact"
    artifact.save(path)
    return path


def assert_scores_of_fields(
    engine: tvm_rank.Engine, plain: tvm_rank.Engine, table: pa.Table, rows: list[int], requests: int
) -> None:
    """Rows of -1 are ids that the store does not have."""
    ids = pa.array([None if row < 0 else table["key"][row].as_py() for row in rows])
    request = {"user": small_model.user(requests)}
    if requests > 1:
        request["item_request"] = np.arange(len(rows)) % requests
    want, got = plain.rank(items=fields(table, rows), **request), engine.rank(items=ids, **request)
    np.testing.assert_allclose(got["score"], want["score"], rtol=0, atol=1e-5)
    assert got.missing.tolist() == [k for k, row in enumerate(rows) if row < 0]


@pytest.mark.parametrize("requests", [1, 8])
def test_scores_do_not_depend_on_what_is_computed_ahead(folder: pathlib.Path, plain: tvm_rank.Engine, requests: int):
    rows = [*np.random.default_rng(requests).integers(0, ITEMS, 90).tolist(), -1, 4, -1]
    for tables in ("mapped", "memory"):
        engine = tvm_rank.load(folder, tables=tables)
        assert_scores_of_fields(engine, plain, item_table("string"), rows, requests)


def test_only_what_requests_read_is_in_the_store(folder: pathlib.Path):
    (store,) = tvm_rank.load(folder).manifest.store
    if store.materialized == "ids":
        assert store.columns == ("item_id", "", "", "", "", *KEPT)
        schema = pa.ipc.open_file(str(folder / "items" / "items.arrow")).schema
        assert schema.names == ["key", "item_id", *KEPT]
        assert [str(field.type) for field in schema][2:] == [*["list<item: int32>"] * 3, "float"]
        return
    assert store.columns == ("item_id", "", "", "", "")  # the one that is crossed with the city
    assert pa.ipc.open_file(str(folder / "items" / "items.arrow")).schema.names == ["key", "item_id"]
    (value,) = store.values
    assert (folder / value.file).stat().st_size == 4 * (ITEMS + 1) * value.shape[0]
    assert value.shape == ((1,) if store.materialized == "dense" else (3 * small_model.DIM + 1,))


def test_refresh_computes_the_values_of_the_new_items(folder: pathlib.Path, plain: tvm_rank.Engine, tmp_path: pathlib.Path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    table = item_table("string", seed=3).slice(0, 30)
    assert main(["refresh", str(copy), "--items", _written(table, tmp_path), "--quiet"]) == 0
    assert_scores_of_fields(tvm_rank.load(copy), plain, table, [*range(30), -1], 1)


def _written(table: pa.Table, folder: pathlib.Path) -> str:
    import pyarrow.parquet as pq

    pq.write_table(table, folder / "items.parquet")
    return str(folder / "items.parquet")


def test_an_item_that_a_feature_refuses_is_named_by_its_row(folder: pathlib.Path, tmp_path: pathlib.Path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    table = item_table("string")
    prices = [[price] for price in table["price"].to_pylist()]
    prices[17] = [1.0, 2.0]
    table = table.set_column(table.column_names.index("price"), "price", pa.array(prices, pa.list_(pa.float32())))
    with pytest.raises(tvm_rank.InputError, match="feature 'price', row 17: wants 1 value a row"):
        tvm_rank.refresh(copy, table)


def test_values_of_a_wrong_size_are_refused(folder: pathlib.Path, tmp_path: pathlib.Path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "items" / "values_0.bin"
    if not file.exists():  # ids are columns of the Arrow file, which tests/items/test_damaged_store.py damages
        return
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(tvm_rank.ArtifactError, match=r"items/values_0.bin has .* bytes, wanted"):
        tvm_rank.load(copy, verify=False)


def test_a_store_under_a_target_that_does_not_run_here_is_refused_before_anything_is_read():
    given = {"features": "nowhere.json", "model": "nowhere.onnx", "items": "nowhere.parquet", "item_key": "key"}
    with pytest.raises(
        tvm_rank.RankError, match=r"target='aarch64', items=.*this machine is .*compile on such a machine, or leave"
    ):
        tvm_rank.compile(**given, target="aarch64")


def test_materialize_needs_items():
    given = {"features": small_model.features(), "model": small_model.model(), "tables": small_model.tables()}
    with pytest.raises(tvm_rank.RankError, match=r"materialize='dense'.*give items and item_key"):
        tvm_rank.compile(**given, materialize="dense")
    with pytest.raises(tvm_rank.RankError, match=r"memory_budget=-1.*give a number of bytes"):
        tvm_rank.compile(**given, items={"key": KEYS["string"]}, item_key="key", materialize="auto", memory_budget=-1)
    with pytest.raises(tvm_rank.RankError, match=r"materialize='all'.*give one of none, "):
        tvm_rank.compile(**given, items={"key": KEYS["string"]}, item_key="key", materialize="all")


@pytest.mark.parametrize(
    ("budget", "level"),
    [
        pytest.param(None, "dense", id="no-budget"),
        pytest.param(4 * (ITEMS + 1), "dense", id="a-number-for-each-row"),
        pytest.param(4 * (ITEMS + 1) - 1, "ids", id="less"),
        pytest.param(ITEMS, "none", id="too-little"),
    ],
)
def test_auto_takes_the_most_that_fits(budget: int | None, level: str):
    from tvm_rank.items.prepare import StoreOptions

    options = StoreOptions(items=item_table("string"), key="key", layout="columns", materialize="auto", memory_budget=budget)
    sizes = {"dense": 4, "embeddings": 52, "ids": 3}
    stored = options.prepared((), (), (), sizes.__getitem__)
    assert stored is not None
    assert stored.entry.materialized == level


def test_the_bytes_of_a_level_are_counted_before_anything_is_built():
    from tvm_rank.code import item_bytes
    from tvm_rank.frontend.brought import graph_of, read
    from tvm_rank.schedule import Schedule
    from tvm_rank.target import resolve

    reading = {"hash_function": None, "base_dir": "."}
    brought = read(small_model.features(), small_model.model(), small_model.tables(), reading)
    graph, _ = graph_of(brought)
    target = resolve("cpu").tvm_target
    assert {level: item_bytes(graph.mod, target, Schedule(), level) for level in LEVELS} == {
        "ids": 3 * (4 * 4 + 4) + 4,
        "embeddings": 52,
        "dense": 4,
    }
