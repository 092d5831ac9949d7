"""Tuning kernels of features and trees of a GPU over RPC: requests travel packed, to a server that has TVM's runtime alone and an emulated
GPU."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import gpu_store_model as model
import numpy as np
import pyarrow as pa
import pytest
import tvm
from cases.rpc_servers import servers_of, tracker_alone
from tvm import relax, tirx

import tvm_rank
from te_schedules.column import Word
from te_schedules.column_group.kernel import Knobs
from te_schedules.column_group.lane_pool import LaneRows
from te_schedules.replay import FIRST
from te_schedules.trees import Aggregate, Ensemble, Mode, TreeKnobs
from te_schedules.trees.op import forest_of, tree_ensemble
from tvm_rank.precision import Samples
from tvm_rank.schedule import Schedule
from tvm_rank.target import resolve
from tvm_rank.tracker import Tracker
from tvm_rank.tune.database import TuningDatabase
from tvm_rank.tune.live_task import ITEM_KERNEL
from tvm_rank.tune.measure import Effort, Timed, candidate
from tvm_rank.tune.model import Model
from tvm_rank.tune.packed_task import PackedFeatureTask, PackedTreeTask
from tvm_rank.tune.records import Choice
from tvm_rank.tune.remote import RemoteMeasurer
from tvm_rank.tune.requests import RequestData
from tvm_rank.tune.run import tune
from tvm_rank.tune.task import Task

LIBRARY = pathlib.Path(tvm.__file__).parent / "lib" / "libtvm_runtime_cuda.so"
ROWS = (3, 20)
ONCE = Effort(rounds=1, runs=1)
BROUGHT = {"features": model.features(), "model": model.model(), "tables": model.tables(), "target": "cuda-sm_90"}
REQUESTS = Samples(
    user=pa.table({"city": ["paris", None, "rome"]}), items=model.items("text"), item_request=np.arange(model.ITEMS) % 3
)


@pytest.fixture(scope="module")
def server(emulated_folder: pathlib.Path, emulated: Any) -> Iterator[Tracker]:
    assert emulated is not None, "its nvcc makes the code"
    with (
        tracker_alone() as tracker,
        servers_of(tracker, 1, "--load-library", str(LIBRARY), LD_LIBRARY_PATH=str(emulated_folder)),
    ):
        yield tracker


@pytest.fixture(scope="module")
def job(server: Tracker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, pathlib.Path]:
    """A tuning of a few trials, and its database."""
    path = tmp_path_factory.mktemp("tuning") / "gpu.tuning"
    return tune(BROUGHT, path, trials=6, batch_sizes=ROWS, requests=REQUESTS, tracker=server, threads=1), path


def test_all_kernels_are_tuned_on_a_server_that_has_the_runtime_alone(job: tuple[Any, pathlib.Path]):
    found, path = job
    operators = {state.prepared.task.operator for state in found.states}
    assert operators == {"rank.features", "rank.gpu_dense"}
    assert len(found.states) >= 3
    assert all(not trial.error for state in found.states for trial in state.trials)
    assert {learned.trials for learned in TuningDatabase.load(path).learned()} != {0}
    assert any("requests: given, 3 requests" in note for note in found.notes)


def test_what_was_found_is_compiled(job: tuple[Any, pathlib.Path]):
    found, _ = job
    (name,) = (state.name for state in found.states if state.name.startswith("item_features"))
    knobs = Knobs(threads=128, lanes=4)
    artifact = tvm_rank.compile(**BROUGHT, tuning=Schedule(kernels={name: knobs}))
    lanes = {group["lanes"] for group in artifact.manifest.groups if "Pool" in group["sink"] and group["kernel"] == "item_features"}
    assert lanes == {4}
    assert artifact.manifest.schedule["kernels"][name]["threads"] == 128


@pytest.fixture(scope="module")
def item_task(tmp_path_factory: pytest.TempPathFactory) -> PackedFeatureTask:
    return item_task_of(tvm_rank.compile(**BROUGHT), tmp_path_factory.mktemp("artifact") / "artifact", REQUESTS)


def item_task_of(artifact: tvm_rank.Artifact, folder: pathlib.Path, requests: Samples) -> PackedFeatureTask:
    artifact.save(folder)
    tasks = Model.of(artifact).packed_tasks(folder, RequestData.of(requests), 1)
    (found,) = (task for task in tasks if isinstance(task, PackedFeatureTask) and task.kernel.name == ITEM_KERNEL)
    return found


def timed(task: Task, server: Tracker, folder: pathlib.Path, choice: Choice) -> Timed:
    with RemoteMeasurer(resolve("cuda-sm_90"), 1, folder, server) as measurer:
        (prepared,) = measurer.prepare([task], ROWS)
        (built,) = measurer.build([candidate(task, choice)])
        return measurer.measure(prepared, built, ONCE)


def test_a_kernel_that_reads_other_rows_is_found(
    item_task: PackedFeatureTask, server: Tracker, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    accept, choice = LaneRows.accept, {**item_task.default, "lanes": 2}

    def next_row(self: LaneRows, number: Any, weight: Any, row: Any) -> None:
        accept(self, number + 1, weight, row)

    def module(task: PackedFeatureTask, given: Choice) -> tvm.IRModule:
        with pytest.MonkeyPatch.context() as patch:
            if given == choice:
                patch.setattr(LaneRows, "accept", next_row)
            return built(task, given)

    built = PackedFeatureTask.module
    monkeypatch.setattr(PackedFeatureTask, "module", module)
    assert "output 0 differs from the default kernel's" in timed(item_task, server, tmp_path, choice).error


def test_items_of_a_store_are_packed_as_fields(server: Tracker, tmp_path: pathlib.Path):
    ids = pa.table({"key": [model.key("number", k) for k in (0, 3, 39, 1, 2)] + [17]})  # the last one is not there
    artifact = tvm_rank.compile(**BROUGHT, items=model.items("number"), item_key="key")
    requests = Samples(user=pa.table({"city": ["paris"]}), items=ids)
    task = item_task_of(artifact, tmp_path / "artifact", requests)
    (price,) = (k for k, use in enumerate(task.packer.manifest.item_fields) if use.name == "price")
    words, memory = task.packer.packed(0, len(ids), of_items=True)
    numbers = memory[words[price, Word.DATA] - FIRST :][: 4 * len(ids)].view(np.float32)
    valid = memory[words[price, Word.VALID] - FIRST]
    known = model.items("number")["price"].to_pylist()
    got = [float(x) if valid >> k & 1 else None for k, x in enumerate(numbers)]
    assert got == [*(known[k] for k in (0, 3, 39, 1, 2)), None]
    assert timed(task, server, tmp_path, task.default).error == ""
    for wrong, message in (
        (ids.rename_columns(["id"]), "column 'key' is missing"),
        (pa.table({"key": ["a"]}), "cannot be read as int64"),
    ):
        packer = dataclasses.replace(task.packer, data=RequestData.of(dataclasses.replace(requests, items=wrong)))
        with pytest.raises(tvm_rank.TuningError, match=message):
            packer.packed(0, 2, of_items=True)
    kept = tvm_rank.compile(**BROUGHT, items=model.items("number"), item_key="key", materialize="ids")
    assert "servers do not have" in Model.of(kept).not_packed()


def stumps() -> Ensemble:
    """Two trees of one question each."""
    kinds = np.array([Mode.LEQ, Mode.LEAF, Mode.LEAF] * 2, np.int32)
    return Ensemble(
        features=2, targets=1, aggregate=Aggregate.SUM, mode=kinds, feature=np.array([0, 0, 0, 1, 0, 0], np.int32),
        value=np.array([0.5, 0, 0, -1.5, 0, 0], np.float32), yes=np.array([1, 0, 0, 4, 0, 0], np.int32),
        no=np.array([2, 0, 0, 5, 0, 0], np.int32), missing_yes=np.zeros(6, bool), member_start=np.zeros(7, np.int64),
        members=np.zeros(0, np.float32), roots=np.array([0, 3], np.int32), weight_start=np.array([0, 0, 1, 2, 2, 3, 4]),
        target=np.zeros(4, np.int32), weight=np.arange(4, dtype=np.float32), base=np.zeros(1),
    )  # fmt: skip


def test_trees_are_tuned_by_threads(server: Tracker, tmp_path: pathlib.Path):
    x = relax.Var("x", relax.TensorType([tirx.Var("N", "int64"), 2], "float32"))
    call = tree_ensemble(x, stumps(), TreeKnobs(threads=64))
    constants = [constant.value.numpy() for constant in call.args[1:]]
    task = PackedTreeTask(
        forest=forest_of(call), constants=constants, features=2, target=resolve("cuda-sm_90"), request_side=False, calls=1
    )
    assert set(task.space) == {"threads"}
    assert timed(task, server, tmp_path, {**task.default, "threads": 32}).error == ""
