"""The item store: requests of ids score as requests of fields do, whatever the ids are."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from store_cases import ITEMS, Store, item_table, small_model

import tvm_rank


def fields(table: pa.Table, rows) -> pa.Table:
    """The fields of some items, as a request without a store brings them; row -1: an item whose fields are all missing."""
    columns = table.drop_columns(["key"])
    with_missing = pa.concat_tables(
        [columns, pa.table({n: pa.nulls(1, c.type) for n, c in zip(columns.column_names, columns.columns, strict=True)})]
    )
    return with_missing.take(pa.array(np.where(np.asarray(rows) < 0, table.num_rows, rows))).combine_chunks()


@pytest.mark.parametrize("requests", [1, 8])
@pytest.mark.parametrize("as_table", [True, False])
def test_ids_score_as_their_fields_do(store: Store, plain: tvm_rank.Engine, requests: int, as_table: bool) -> None:
    rng = np.random.default_rng(requests)
    rows = rng.integers(0, ITEMS, 130)  # more than a block, and duplicates
    user = small_model.user(requests)
    request = {"user": pa.table(user) if as_table else user}
    if requests > 1:
        request["item_request"] = rng.integers(0, requests, len(rows))
    want = plain.rank(items=fields(item_table(store.key_type), rows), **request)
    for given in (store.ids(rows), pa.table({"key": store.ids(rows)}), store.ids(rows).to_pylist()):
        got = store.engine.rank(items=given, **request)
        np.testing.assert_array_equal(got["score"], want["score"])
        assert got.missing.size == 0
    np.testing.assert_array_equal(store.engine.rank(item_ids=store.ids(rows), **request)["score"], want["score"])


def test_missing_and_null_ids_score_with_defaults_and_are_reported(store: Store, plain: tvm_rank.Engine) -> None:
    nobody = "nobody" if store.key_type == "string" else 5
    ids = pa.concat_arrays([store.ids([4]), pa.array([nobody, None], store.ids([0]).type), store.ids([9])])
    want = plain.rank(user=small_model.user(), items=fields(item_table(store.key_type), [4, -1, -1, 9]))
    got = store.engine.rank(user=small_model.user(), items=ids)
    np.testing.assert_array_equal(got["score"], want["score"])
    assert got.missing.tolist() == [1, 2]
    everything_missing = store.engine.rank(user=small_model.user(), items=[None, None])
    assert everything_missing.missing.tolist() == [0, 1]


def test_no_items_and_one_item(store: Store, plain: tvm_rank.Engine) -> None:
    none = store.engine.rank(user=small_model.user(), items=store.ids(np.zeros(0, np.int64)))
    assert none["score"].shape == (0, 1)
    assert none.missing.size == 0
    one = store.engine.rank(user=small_model.user(), items=store.ids([7]))
    np.testing.assert_array_equal(
        one["score"], plain.rank(user=small_model.user(), items=fields(item_table(store.key_type), [7]))["score"]
    )


def test_ids_of_a_slice_and_of_smaller_types_are_read(store: Store) -> None:
    whole = store.engine.rank(user=small_model.user(), items=store.ids(range(20)))["score"]
    part = store.engine.rank(user=small_model.user(), items=store.ids(range(20)).slice(5, 6))["score"]
    np.testing.assert_array_equal(part, whole[5:11])
    small = store.ids(range(20)).cast(pa.int32() if store.key_type == "int64" else pa.large_string())
    np.testing.assert_array_equal(store.engine.rank(user=small_model.user(), items=small)["score"], whole)


def test_ids_of_another_type_are_refused(store: Store) -> None:
    wrong = [1, 2] if store.key_type == "string" else ["1", "2"]
    with pytest.raises(
        tvm_rank.InputError, match=rf"item ids: got .*; the keys of the item store \('key'\) are {store.key_type}; convert"
    ):
        store.engine.rank(user=small_model.user(), items=wrong)
    with pytest.raises(tvm_rank.InputError, match="item ids"):
        store.engine.rank(user=small_model.user(), items=[1.5])
    with pytest.raises(tvm_rank.InputError, match="item store"):
        store.engine.rank(user=small_model.user(), items=None)
    with pytest.raises(tvm_rank.InputError, match="'key' is missing"):
        store.engine.rank(user=small_model.user(), items={"item_id": ["a"]})


def test_item_ids_without_a_store_are_refused(plain: tvm_rank.Engine) -> None:
    with pytest.raises(tvm_rank.RankError, match="no item store"):
        plain.rank(user=small_model.user(), item_ids=["a"])


def test_damaged_ids_are_refused(store: Store) -> None:
    if store.key_type == "string":
        offsets = np.array([0, 2_000_000_000, 6], np.int32)
        ids = pa.StringArray.from_buffers(2, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"abcdef"))
        with pytest.raises(tvm_rank.InputError, match="column 'key': its offsets lead outside"):
            store.engine.rank(user=small_model.user(), items=ids)


def test_the_store_is_a_mapped_arrow_file(store: Store) -> None:
    reader = pa.ipc.open_file(str(store.folder / "items" / "items.arrow"))
    batch = reader.get_batch(0)
    assert batch.num_rows == ITEMS + 1
    assert set(batch.schema.names) == {"key", "item_id", "tags", "level", "price"}
    assert all(column[ITEMS].as_py() is None for column in batch.columns)
    assert store.engine.item_fields == ("key",)
    (entry,) = store.engine.manifest.store
    assert (entry.rows, entry.key, entry.key_type, entry.layout) == (ITEMS, "key", store.key_type, "columns")


@pytest.mark.parametrize("case", ["duplicate", "null", "missing key", "missing field", "float key", "bad field"])
def test_items_that_cannot_be_stored_are_refused_by_name(store: Store, tmp_path, case: str) -> None:
    table = item_table(store.key_type)
    keys = table["key"].to_pylist()
    if case == "duplicate":
        table, message = (
            table.set_column(0, "key", pa.array([*keys[:-1], keys[3]])),
            f"'key': rows 3 and {ITEMS - 1} have the same key",
        )
    elif case == "null":
        table, message = table.set_column(0, "key", pa.array([*keys[:6], None, *keys[7:]])), "'key': row 6 is null"
    elif case == "missing key":
        table, message = table.drop_columns(["key"]), "'key' is missing"
    elif case == "missing field":
        table, message = table.drop_columns(["price"]), "'price' is missing"
    elif case == "float key":
        table, message = table.set_column(0, "key", pa.array(np.arange(float(ITEMS)))), "a key is a string or an integer"
    else:
        table, message = table.set_column(4, "price", pa.array([True] * ITEMS)), "'price': unsupported type bool"
    with pytest.raises(tvm_rank.InputError, match=message):
        stored_again(store, table).save(tmp_path / "artifact")
    assert not list(tmp_path.iterdir())


def stored_again(store: Store, table: pa.Table) -> tvm_rank.Artifact:
    """The artifact with other items; the code is not generated again."""
    from tvm_rank.items.source import read_items

    linked = Linked(store.folder / "model.so")
    return dataclasses.replace(
        store.artifact, executable=linked, items=read_items(table, "key", ["item_id", "tags", "level", "price"])
    )


class Linked:
    """Stands in for an executable that was exported before."""

    def __init__(self, library):
        self.library = library

    def export_library(self, file: str) -> None:
        """Write the library that was generated before."""
        with open(file, "wb") as out:
            out.write(self.library.read_bytes())


def test_items_and_their_key_go_together() -> None:
    given = {"features": small_model.features(), "model": small_model.model(), "tables": small_model.tables()}
    with pytest.raises(tvm_rank.RankError, match="needs both"):
        tvm_rank.compile(**given, items=item_table("string"))
    with pytest.raises(tvm_rank.RankError, match="store_layout='heap'"):
        tvm_rank.compile(**given, items=item_table("string"), item_key="key", store_layout="heap")


def test_a_store_of_no_items_scores_defaults(store: Store, plain: tvm_rank.Engine, tmp_path) -> None:
    stored_again(store, item_table(store.key_type).slice(0, 0)).save(tmp_path / "empty")
    got = tvm_rank.load(tmp_path / "empty").rank(user=small_model.user(), items=store.ids([1, 2]))
    want = plain.rank(user=small_model.user(), items=fields(item_table(store.key_type), [-1, -1]))
    np.testing.assert_array_equal(got["score"], want["score"])
    assert got.missing.tolist() == [0, 1]


def test_items_come_from_files_too(store: Store, tmp_path) -> None:
    import pyarrow.parquet as pq

    from tvm_rank.items.source import read_items

    table = item_table(store.key_type)
    pq.write_table(table, tmp_path / "items.parquet")
    got = read_items(tmp_path / "items.parquet", "key", ["price"])
    assert got["price"].equals(table["price"].combine_chunks())
    assert got["key"].equals(table["key"].combine_chunks())


def test_the_manifest_of_a_store_is_checked(store: Store) -> None:
    from tvm_rank.artifact.manifest import Manifest, _seal

    data = json.loads((store.folder / "manifest.json").read_text())
    data["store"][0]["rows"] = -1
    data["checksum"] = _seal({name: value for name, value in data.items() if name != "checksum"})
    with pytest.raises(tvm_rank.ArtifactError, match="the item store has -1 rows"):
        Manifest.from_json(json.dumps(data), "artifact")
