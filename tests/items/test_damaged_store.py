"""A damaged store is refused when it is loaded, also where checksums are not looked at."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pyarrow as pa
import pytest
from store_cases import ITEMS, Store, small_model

import tvm_rank


@pytest.fixture
def copy(store: Store, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(store.folder, tmp_path / "copy"))


def refused(folder: pathlib.Path, match: str) -> None:
    with pytest.raises(tvm_rank.ArtifactError, match=match):
        tvm_rank.load(folder, verify=False)
    with pytest.raises(tvm_rank.ArtifactError, match=r"altered|bytes"):
        tvm_rank.load(folder)


def change_index(folder: pathlib.Path, change) -> None:
    file = folder / "items" / "index.bin"
    slots = np.fromfile(file, np.int64).reshape(-1, 2)
    change(slots)
    slots.tofile(file)


def test_an_index_that_leads_to_no_item_is_refused(copy: pathlib.Path) -> None:
    def change(slots) -> None:
        slots[np.flatnonzero(slots[:, 1])[0], 1] = ITEMS + 5

    change_index(copy, change)
    refused(copy, "leads to an item that is not there")


def test_a_negative_entry_of_the_index_is_refused(copy: pathlib.Path) -> None:
    def change(slots) -> None:
        slots[0, 1] = -3

    change_index(copy, change)
    refused(copy, "leads to an item that is not there")


def test_a_full_index_is_refused(copy: pathlib.Path) -> None:
    def change(slots) -> None:
        slots[:, 1] = 1

    change_index(copy, change)
    refused(copy, f"items, wanted {ITEMS}")


def test_an_index_of_another_size_is_refused(copy: pathlib.Path) -> None:
    file = copy / "items" / "index.bin"
    file.write_bytes(file.read_bytes()[:-16])
    refused(copy, "bytes")


def test_a_truncated_store_is_refused(copy: pathlib.Path) -> None:
    file = copy / "items" / "items.arrow"
    file.write_bytes(file.read_bytes()[:-64])
    refused(copy, "bytes")


def test_offsets_of_the_store_are_checked(copy: pathlib.Path) -> None:
    file = copy / "items" / "items.arrow"
    batch = pa.ipc.open_file(str(file)).get_batch(0)
    offsets = batch.column("item_id").buffers()[1]
    contents = bytearray(file.read_bytes())
    at = contents.find(offsets.to_pybytes())
    contents[at + 4 : at + 8] = np.int32(2_000_000_000).tobytes()
    file.write_bytes(contents)
    refused(copy, "offsets of a column lead outside")


def test_noise_in_the_arrow_file_never_crashes(copy: pathlib.Path, store: Store) -> None:
    file = copy / "items" / "items.arrow"
    good, rng = file.read_bytes(), np.random.default_rng(0)
    places = [
        *rng.integers(0, len(good), 20),
        *rng.integers(len(good) - 1500, len(good), 40),
    ]  # also in what Arrow says of the columns
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(0, 8))
        file.write_bytes(bad)
        try:
            engine = tvm_rank.load(copy, verify=False)
        except tvm_rank.ArtifactError:
            continue
        assert engine.rank(user=small_model.user(), items=store.ids(range(ITEMS)))["score"].shape == (ITEMS, 1)
