"""Tuning dense layers of a GPU over RPC: built here, run by a server that has TVM's runtime alone and an emulated GPU."""

from __future__ import annotations

import pathlib
import struct
from typing import Any

import pytest
import tvm
from cases.rpc_servers import servers_of, tracker_alone

import tvm_rank
from te_schedules.gpu.dense import GpuLayer
from te_schedules.gpu.dense_model import GpuDense
from te_schedules.gpu.packed_code import with_code
from tvm_rank.target import resolve
from tvm_rank.tune import worker
from tvm_rank.tune.gpu_task import GpuDenseTask, gpu_dense_tasks
from tvm_rank.tune.knobs import knobs_of
from tvm_rank.tune.measure import Built, Effort, Prepared, candidate
from tvm_rank.tune.remote import RemoteMeasurer
from tvm_rank.tune.run import tune

KNOBS = GpuDense(warps=4, small_rows=16, middle_rows=64)
LAYER = GpuLayer(depth=12, units=24, activation="relu", precision="bf16", knobs=KNOBS)
LIBRARY = pathlib.Path(tvm.__file__).parent / "lib" / "libtvm_runtime_cuda.so"
ROWS = (5, 40)


def entry(layer: GpuLayer, **more: Any) -> dict[str, Any]:
    return {"name": layer.name, "operator": "rank.gpu_dense", "calls": 2, "layer": layer.described(), **more}


def test_the_layers_of_a_manifest_are_tasks_with_their_knobs():
    few = {"name": "dense_9x1_none", "operator": "rank.gpu_dense", "calls": 1}
    (task,) = gpu_dense_tasks([entry(LAYER), few, entry(LAYER, calls=0)], {LAYER.name})
    assert (task.name, task.calls, task.default) == (LAYER.name, 2, {"warps": 4, "small_rows": 16, "middle_rows": 64})
    assert 16 in task.space["small_rows"]
    assert task.shapes(task.default, 99)[0] == [1, 12]
    assert knobs_of(task.operator, task.default) == KNOBS


def test_a_candidate_is_measured_on_a_server_that_has_the_runtime_alone(
    emulated_folder: pathlib.Path, emulated: Any, tmp_path: pathlib.Path
):
    assert emulated is not None, "its nvcc makes the code"
    task, target = GpuDenseTask(layer=LAYER, calls=1), resolve("cuda-sm_90")
    default, other = (
        worker.export(
            worker.build(candidate(task, task.default | changed).module, target.tvm_target, None),
            target=str(target.tvm_target), machine=target.machine, folder=str(tmp_path),
        )
        for changed in ({}, {"small_rows": 0})
    )  # fmt: skip
    calls = [tmp_path / f"call_{rows}" for rows in ROWS]
    for rows, folder in zip(ROWS, calls, strict=True):
        folder.mkdir()
        task.record(folder, rows)
    prepared = Prepared(task=task, calls=tuple(map(str, calls)), batch_sizes=ROWS, default=default)
    with (
        tracker_alone() as tracker,
        servers_of(tracker, 1, "--load-library", str(LIBRARY), LD_LIBRARY_PATH=str(emulated_folder)),
        RemoteMeasurer(target, 1, tmp_path, tracker) as measurer,
    ):
        built = Built(candidate=candidate(task, task.default), path=other)
        timed = measurer.measure(prepared, built, Effort(rounds=1, runs=1))
    assert timed.error == ""
    assert len(timed.seconds) == len(ROWS)
    assert all(seconds > 0 for seconds in (*timed.seconds, *timed.default_seconds))


def test_a_gpu_is_tuned_over_rpc_only(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tvm_rank.tune.model.Model.target", lambda _model: resolve("cuda-sm_90"))
    monkeypatch.setattr("tvm_rank.tune.model.Model.of", classmethod(lambda cls, _given: cls(manifest=None, plan=None)))
    monkeypatch.setattr("shutil.which", lambda _name: "nvcc")
    with pytest.raises(tvm_rank.TuningError, match="kernels of a GPU are measured on the servers of a tracker"):
        tune({}, tmp_path / "db", trials=1)


def test_modules_that_are_packed_otherwise_are_refused():
    with pytest.raises(ValueError, match="packs modules of GPUs in another way"):
        with_code(struct.pack("<QQ", 8, 4) + b"lib_" + bytes(16), "source", b"code")
