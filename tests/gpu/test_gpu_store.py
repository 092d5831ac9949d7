"""Item stores on an emulated GPU: made on the host, read there; scores are those of NumPy, whatever is computed ahead."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from gpu_store_model import ITEMS, KINDS, items, key, wanted

import tvm_rank
from tvm_rank.artifact import store
from tvm_rank.ops.table_rows import PAD_BYTES
from tvm_rank.runtime import gpu

pytestmark = pytest.mark.usefixtures("emulated")
Make = Callable[[str], pathlib.Path]


@pytest.mark.parametrize("level", KINDS)
def test_items_of_a_store_score_as_their_fields(level: str, gpu_store: Make):
    (_layout, keys), engine = KINDS[level], tvm_rank.load(gpu_store(level))
    assert engine.manifest.store[0].materialized == level
    for count, requests in ((1, 1), (17, 1), (60, 3)):
        rng = np.random.default_rng(count)
        rows, of = [*rng.integers(0, ITEMS, count - 1).tolist(), -1], (np.arange(count) % requests).tolist()
        users = [f"city {k}" for k in rng.integers(0, 9, requests)]
        got = engine.rank({"city": users}, [key(keys, row if row >= 0 else 10**6) for row in rows], of if requests > 1 else None)
        np.testing.assert_allclose(got["score"], wanted(users, of, rows, items(keys)), rtol=0, atol=1e-5)
        assert got.missing.tolist() == [count - 1]
    assert tvm_rank.check(gpu_store(level), rounds=1).ok


def test_a_request_with_ids_is_one_copy_there(gpu_store: Make, emulated):
    engine = tvm_rank.load(gpu_store("dense"))
    ask = {"user": {"city": ["city 1"]}, "item_ids": [key("number", k) for k in range(9)]}
    engine.rank(**ask)
    copies = emulated.emulated_copies()
    engine.rank(**ask)
    assert emulated.emulated_copies() - copies == 1 + len(engine.manifest.outputs) + len(engine.manifest.refusals)


def test_ids_of_the_other_kind_and_no_ids(gpu_store: Make):
    engine = tvm_rank.load(gpu_store("dense"))
    with pytest.raises(tvm_rank.InputError, match="the keys of the item store"):
        engine.rank({"city": ["a"]}, ["text"])
    assert engine.rank({"city": ["a"]}, pa.array([], pa.int64()))["score"].shape == (0, 1)


def test_refresh_needs_no_gpu(gpu_store: Make, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    folder = pathlib.Path(shutil.copytree(gpu_store("dense"), tmp_path / "copy"))
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


def test_what_does_not_fit_is_refused_with_its_sizes(gpu_store: Make, monkeypatch: pytest.MonkeyPatch):
    manifest = store.read(gpu_store("dense"))
    monkeypatch.setenv("EMULATED_FREE", "1000000")
    bytes_of_tables = sum(manifest.files[stack.file].bytes for stack in manifest.stacks)
    with pytest.raises(tvm_rank.ArtifactError) as refused:
        tvm_rank.load(gpu_store("dense"))
    text = str(refused.value)
    assert f"tables {bytes_of_tables:,}, item store " in text
    assert "and 1,000,000 of 8,589,934,592 are free" in text


def test_behind_the_last_row_of_a_table_there_is_memory_to_read(gpu_store: Make):
    tvm_rank.load(gpu_store("ids"))  # which loads the runtime
    page = np.zeros((512, 8), np.uint8)  # all of a page of the emulator
    one, other = (gpu.on_device(page) for _ in range(2))
    assert tuple(one.shape) == page.shape
    begins = sorted(int(tensor.data_ptr()) for tensor in (one, other))
    assert begins[1] - begins[0] >= page.nbytes + PAD_BYTES
