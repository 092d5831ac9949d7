"""refresh: only the store changes, running engines keep theirs, and what does not fit leaves all as it was."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pyarrow as pa
import pytest
from store_cases import ITEMS, Store, item_table, small_model

import tvm_rank
from tvm_rank.cli.main import main


@pytest.fixture
def copy(store: Store, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(store.folder, tmp_path / "copy"))


def scores(engine: tvm_rank.Engine, store: Store) -> np.ndarray:
    return engine.rank(user=small_model.user(), items=store.ids(range(ITEMS)))["score"]


def test_a_refreshed_store_has_the_new_items_and_the_old_code(store: Store, copy: pathlib.Path) -> None:
    before, running = {name: (copy / name).stat() for name in ("model.so", "features.json")}, tvm_rank.load(copy)
    old = scores(running, store)
    more = item_table(store.key_type, seed=1)
    said: list[str] = []
    manifest = tvm_rank.refresh(copy, more.slice(5), said.append)
    assert manifest.store[0].rows == ITEMS - 5
    assert said[0] == "reading the artifact"
    for name, was in before.items():
        assert (copy / name).stat().st_ino == was.st_ino
    np.testing.assert_array_equal(scores(running, store), old)  # the engine that runs has its items still
    loaded = tvm_rank.load(copy)
    new = scores(loaded, store)
    moved = (np.arange(ITEMS) - 1) % ITEMS  # the fields of item k are those that item k - 1 had
    kept = [k for k in range(5, ITEMS) if k % 11 != 3 and moved[k] % 11 != 3]
    np.testing.assert_array_equal(new[kept], old[moved[kept]])
    assert loaded.rank(user=small_model.user(), items=store.ids(range(ITEMS))).missing.tolist() == list(range(5))
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_a_table_without_rows_is_refused_unless_it_is_meant(store: Store, copy: pathlib.Path, tmp_path: pathlib.Path) -> None:
    import pyarrow.parquet as pq

    before, empty = (copy / "manifest.json").read_bytes(), item_table(store.key_type).slice(0, 0)
    with pytest.raises(tvm_rank.InputError, match=rf"the table has no rows, and the store of .* has {ITEMS}; .*allow_empty=True"):
        tvm_rank.refresh(copy, empty)
    assert (copy / "manifest.json").read_bytes() == before
    pq.write_table(empty, tmp_path / "empty.parquet")
    assert main(["refresh", str(copy), "--items", str(tmp_path / "empty.parquet"), "--allow-empty", "--quiet"]) == 0
    assert tvm_rank.load(copy).rank(user=small_model.user(), items=store.ids([0, 1])).missing.tolist() == [0, 1]


def test_items_of_other_types_are_refused_all_at_once(store: Store, copy: pathlib.Path) -> None:
    table = item_table(store.key_type)
    other = pa.array(range(ITEMS)) if store.key_type == "string" else pa.array([f"k{n}" for n in range(ITEMS)])
    table = table.set_column(0, "key", other).set_column(3, "level", pa.array([str(n) for n in range(ITEMS)]))
    before = (copy / "manifest.json").read_bytes()
    with pytest.raises(tvm_rank.InputError, match=r"'key' is .*, was .*; 'level' is string, was int64; convert"):
        tvm_rank.refresh(copy, table)
    assert (copy / "manifest.json").read_bytes() == before
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


@pytest.mark.usefixtures("plain")
def test_an_artifact_without_a_store_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(tvm_rank.RankError, match="has no item store"):
        tvm_rank.refresh(tmp_path_factory.getbasetemp() / "plain0" / "artifact", item_table("string"))


def test_samples_of_items_that_are_others_now_are_left_out(store: Store, copy: pathlib.Path) -> None:
    whole = tvm_rank.check(copy, rounds=1)
    assert (whole.ok, whole.items) == (True, 16)  # fifteen of the store, and one that it does not have
    said: list[str] = []
    more = item_table(store.key_type)
    tvm_rank.refresh(copy, pa.concat_tables([more.slice(30), more.slice(0, 20)]), said.append)
    (left,) = [int(text.split()[2]) for text in said if text.endswith("which have other fields now")]
    report = tvm_rank.check(copy, rounds=1)
    assert (report.ok, report.items) == (True, 16 - left)
    assert 2 <= left <= 4  # of the ten items in the middle
    tvm_rank.refresh(copy, item_table(store.key_type, seed=1))
    report = tvm_rank.check(copy, rounds=1)
    assert report.ok
    assert report.items < 16 - left


def test_the_command_refreshes_and_inspect_shows_the_store(store: Store, copy: pathlib.Path, capsys) -> None:
    import pyarrow.parquet as pq

    file = copy.parent / "items.parquet"
    pq.write_table(item_table(store.key_type).slice(0, 20), file)
    assert main(["refresh", str(copy), "--items", str(file)]) == 0
    said = capsys.readouterr()
    assert f"20 items by 'key' ({store.key_type})" in said.out
    assert "indexing the item keys" in said.err
    assert main(["inspect", str(copy)]) == 0
    assert f"item store\n20 items by 'key' ({store.key_type})" in capsys.readouterr().out
    assert main(["refresh", str(copy), "--items", str(copy.parent / "nothing.parquet"), "--quiet"]) == 1
    assert "nothing.parquet" in capsys.readouterr().err


def test_the_command_runs_requests_of_ids(store: Store, tmp_path: pathlib.Path, capsys) -> None:
    from tvm_rank.zoo.workload import write_arrow

    write_arrow(tmp_path / "user.arrow", pa.table(small_model.user()))
    write_arrow(
        tmp_path / "items.arrow", pa.table({"key": pa.concat_arrays([store.ids(range(9)), pa.nulls(1, store.ids([0]).type)])})
    )
    out = tmp_path / "scores.npy"
    files = ["--user", str(tmp_path / "user.arrow"), "--items", str(tmp_path / "items.arrow"), "--out", str(out)]
    assert main(["run", str(store.folder), *files]) == 0
    np.testing.assert_array_equal(np.load(out)[:9], scores(store.engine, store)[:9, 0])
    assert "ranked 10 items of 1 requests" in (said := capsys.readouterr().out)
    assert "1 item is not in the item store, and has the defaults of all features" in said
