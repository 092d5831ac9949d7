"""The row-wise layout: records score as columns do, hold what columns hold, and are checked when they are loaded."""

from __future__ import annotations

import dataclasses
import pathlib
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from store_cases import ITEMS, Store, item_table, small_model
from test_item_store import fields, stored_again

import tvm_rank
from tvm_rank.items.records import BYTES, NAMES, RECORD, fits_record, record_columns
from tvm_rank.runtime.records import Records


def rows_of(store: Store, table: pa.Table) -> tvm_rank.Artifact:
    """The artifact with records of these items."""
    artifact = stored_again(store, table)
    entry = dataclasses.replace(artifact.manifest.store[0], layout="rows")
    return dataclasses.replace(artifact, manifest=dataclasses.replace(artifact.manifest, store=(entry,)))


@pytest.fixture
def folder(store: Store, tmp_path: pathlib.Path) -> pathlib.Path:
    rows_of(store, item_table(store.key_type)).save(tmp_path / "rows")
    return tmp_path / "rows"


@pytest.mark.parametrize("requests", [1, 8])
def test_records_score_as_fields_do(store: Store, plain: tvm_rank.Engine, folder: pathlib.Path, requests: int):
    rng = np.random.default_rng(requests)
    rows = [*rng.integers(0, ITEMS, 130).tolist(), -1]
    request = {"user": small_model.user(requests)}
    if requests > 1:
        request["item_request"] = rng.integers(0, requests, len(rows))
    want = plain.rank(items=fields(item_table(store.key_type), rows), **request)
    ids = pa.concat_arrays([store.ids(rows[:-1]), pa.nulls(1, store.ids([0]).type)])
    got = tvm_rank.load(folder).rank(items=ids, **request)
    np.testing.assert_array_equal(got["score"], want["score"])
    assert got.missing.tolist() == [130]


def test_a_store_of_records_is_refreshed_as_one(store: Store, plain: tvm_rank.Engine, folder: pathlib.Path):
    table = item_table(store.key_type, seed=2)
    assert tvm_rank.refresh(folder, table).store[0].layout == "rows"
    want = plain.rank(user=small_model.user(), items=fields(table, range(ITEMS)))
    got = tvm_rank.load(folder).rank(user=small_model.user(), items=store.ids(range(ITEMS)))
    np.testing.assert_array_equal(got["score"], want["score"])
    with pytest.raises(tvm_rank.InputError, match="'price' is double, was float"):
        tvm_rank.refresh(folder, table.set_column(4, "price", table["price"].cast(pa.float64())))


def test_maps_and_null_elements_are_no_records():
    assert not fits_record(pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())))
    assert not fits_record(pa.array([["a", None]]))
    assert not fits_record(pa.array([[["a"]]]))
    assert fits_record(pa.array([["a"], None]))


COLUMNS = {
    "text": pa.array(["", None, "häuser", "x" * 70]),
    "wide": pa.array([1, None, -(2**60), 5]),
    "narrow": pa.array([1, 2, None, -4], pa.int32()),
    "real": pa.array([None, 0.25, -1e300, 3.5]),
    "small": pa.array([0.5, None, 2.5, 3.5], pa.float32()),
    "texts": pa.array([["a", ""], [], None, ["b" * 40, "c", "d"]]),
    "numbers": pa.array([[1], None, [2, 3, 4], []], pa.list_(pa.int64())),
    "reals": pa.array([[], [1.5, 2.5], None, [3.5]], pa.list_(pa.float32())),
}


def values(columns: dict[str, pa.Array]) -> dict[str, list]:
    """What the records of these columns hold, read by the rules in the module's text."""
    arrays, entries = record_columns(columns)
    batch = pa.record_batch(list(arrays.values()), names=list(arrays))
    records = Records(batch, NAMES)
    data = records.data.tobytes()
    found = {}
    for entry in entries:
        words, kind = records.describe(entry), columns[entry.name].type
        width = 8 if kind in (pa.int64(), pa.float64()) else 4
        nulls = batch.column(f"record valid {width}").buffers()[1]
        bits = np.unpackbits(np.frombuffer(nulls, np.uint8), bitorder="little")
        rows = []
        for row in range(records.rows):
            at = row * words[1]
            cell = records.records[row, entry.place : entry.place + 8].tobytes()
            rows.append(read(cell, data, kind) if bits[at + words[4]] else None)
        found[entry.name] = rows
    return found


def read(cell: bytes, data: bytes, kind: pa.DataType):
    if not (pa.types.is_list(kind) or pa.types.is_string(kind)):
        return np.frombuffer(cell, kind.to_pandas_dtype())[0].item()
    begin, end = np.frombuffer(cell, np.int32).tolist()
    if pa.types.is_string(kind):
        return data[begin:end].decode()
    if not pa.types.is_string(kind.value_type):
        return np.frombuffer(data, kind.value_type.to_pandas_dtype())[begin:end].tolist()
    offsets = np.frombuffer(data[: len(data) // 4 * 4], np.int32)[begin : end + 1].tolist()
    return [data[first:last].decode() for first, last in pairwise(offsets)]


@pytest.mark.parametrize("part", [slice(0, 4), slice(1, 3), slice(2, 2), slice(3, 4)])
def test_records_hold_what_columns_hold(part: slice):
    columns = {name: column[part] for name, column in COLUMNS.items()}
    assert values(columns) == {name: column.to_pylist() for name, column in columns.items()}


def test_a_field_that_leads_outside_of_its_bytes_is_refused(folder: pathlib.Path):
    file = folder / "items" / "items.arrow"
    batch = pa.ipc.open_file(str(file)).get_batch(0)
    entry = next(e for e in tvm_rank.load(folder).manifest.store[0].records if e.type == "string")
    contents = bytearray(file.read_bytes())
    at = contents.find(batch.column(RECORD).buffers()[1].to_pybytes())
    contents[at + entry.place + 4 : at + entry.place + 8] = np.int32(2_000_000_000).tobytes()
    file.write_bytes(contents)
    with pytest.raises(tvm_rank.ArtifactError, match="leads outside of its bytes"):
        tvm_rank.load(folder, verify=False)


def test_noise_in_records_never_crashes(store: Store, folder: pathlib.Path):
    file = folder / "items" / "items.arrow"
    good, rng = file.read_bytes(), np.random.default_rng(1)
    for place in [*rng.integers(0, len(good), 40), *rng.integers(len(good) - 1500, len(good), 40)]:
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(0, 8))
        file.write_bytes(bad)
        try:
            engine = tvm_rank.load(folder, verify=False)
        except tvm_rank.ArtifactError:
            continue
        assert engine.rank(user=small_model.user(), items=store.ids(range(ITEMS)))["score"].shape == (ITEMS, 1)


def test_the_bytes_are_one_buffer():
    arrays, _ = record_columns(COLUMNS)
    assert arrays[BYTES].type == pa.binary()
    assert len(arrays[BYTES]) == 4
