"""Requests as servers get them: packed, and placed where the server has them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tvm
from cases.rpc_servers import servers_of, tracker_alone

import tvm_rank
from te_schedules.feature.kind import HEAP_RULE, RULE
from te_schedules.lower import PIPELINE
from te_schedules.replay import PLACES, fill_table
from tvm_rank import zoo
from tvm_rank.ops.table_rows import PRECISIONS, decode, row_bytes
from tvm_rank.runtime.columns import ADDRESSES
from tvm_rank.target import resolve
from tvm_rank.tune.calls import ARGUMENTS, Kernel, PackedCall, call_of
from tvm_rank.tune.measure import candidate
from tvm_rank.tune.model import Model
from tvm_rank.tune.packed_task import PackedFeatureTask
from tvm_rank.tune.requests import RequestData
from tvm_rank.tune.run import tune

ROWS = (5, 64)


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    workload = zoo.build("lr", tmp_path_factory.mktemp("lr"))
    return {"features": workload.features, "model": workload.model, "tables": workload.tables}


@pytest.fixture(scope="module")
def tasks(brought: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> list[PackedFeatureTask]:
    folder = tmp_path_factory.mktemp("artifact") / "artifact"
    artifact = tvm_rank.compile(**brought)
    artifact.save(folder)
    model = Model.of(artifact)
    return [task for task in model.packed_tasks(folder, model.requests(None), 1) if isinstance(task, PackedFeatureTask)]


def test_every_word_that_leads_to_memory_is_placed():
    assert sorted(int(word) for word in PLACES) == sorted((*ADDRESSES, 2))


def test_features_are_tuned_on_servers_of_a_cpu_too(brought: dict[str, Any], tmp_path: pathlib.Path):
    with tracker_alone() as tracker, servers_of(tracker, 1):
        job = tune(brought, tmp_path / "db", trials=2, batch_sizes=ROWS, tracker=tracker)
    assert {state.prepared.task.operator for state in job.states} >= {"rank.features"}
    assert [trial.error for state in job.states for trial in state.trials] == ["", ""]


def test_packed_columns_are_those_of_the_request(tasks: list[PackedFeatureTask], tmp_path: pathlib.Path):
    """A kernel makes the same of them as of the request's own arrays."""
    assert {task.kernel.name for task in tasks} == {"request_features", "item_features"}
    for number, task in enumerate(tasks):
        kernel, cpu = Kernel(built(task), task.shapes(task.default, 0)), tvm.cpu()
        for rows in ROWS:
            (folder := tmp_path / f"{number}_{rows}").mkdir()
            task.record(folder, rows)
            call = call_of(str(folder))
            assert isinstance(call, PackedCall)
            memory = [tvm.runtime.tensor(memory) for _, memory in call._requests]
            tables = call.tables(kernel, cpu)
            packed = call.arguments(kernel, call.columns(kernel, memory, cpu), tables, cpu)
            for k, arguments in enumerate(packed):
                own = task.packer._tables(k, rows)[task.kernel.name == "item_features"]
                (direct,) = call.arguments(kernel, [tvm.runtime.tensor(own.words)], tables, cpu)
                kernel.library["kernel"](*arguments)
                kernel.library["kernel"](*direct)
                for one, other in zip(call.outputs(arguments), call.outputs(direct), strict=True):
                    assert np.array_equal(one, other)
                    assert np.isfinite(one).all()


def test_a_kernel_whose_threads_had_no_memory_is_not_timed(tasks: list[PackedFeatureTask], tmp_path: pathlib.Path):
    (task,) = (task for task in tasks if task.kernel.name == "item_features")
    task.record(tmp_path, ROWS[0])
    library, shapes = built(task), task.shapes(task.default, 0)

    def without_memory(*arguments: Any) -> None:
        library["kernel"](*arguments)
        statuses = arguments[-1]
        statuses.copyfrom(np.full(statuses.shape, 1 + 4 + HEAP_RULE * RULE))

    class Without:
        def __getitem__(self, name: str) -> Any:
            return without_memory if name == "kernel" else library[name]

    good, bad = Kernel(library, shapes), Kernel(Without(), shapes)
    for candidate_, default in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match="the GPU has no more memory"):
            PackedCall(str(tmp_path), json.loads((tmp_path / ARGUMENTS).read_text())).seconds(candidate_, default, tvm.cpu(), None)


def built(task: PackedFeatureTask) -> Any:
    module = candidate(task, task.default).module
    return tvm.tirx.build(module, target=resolve("cpu").tvm_target, pipeline=PIPELINE)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tables_are_filled_with_different_finite_rows(precision: str):
    rows, dim = 50, 7
    width, dtype = (dim, "float32") if precision == "fp32" else (row_bytes(precision, dim), "uint8")
    func = fill_table(rows, width, dtype, "fill")
    built_ = tvm.tirx.build(tvm.IRModule({"fill": func}), target=resolve("cpu").tvm_target, pipeline=PIPELINE)
    table = np.zeros((rows, width), dtype)
    built_["fill"](table)
    numbers = table if precision == "fp32" else decode(table, precision, dim)
    assert np.isfinite(numbers).all()
    assert len(np.unique(numbers, axis=0)) > rows // 2
    assert all((a != b).any() for a, b in itertools.pairwise(numbers))


def test_damaged_requests_are_refused_by_name(tasks: list[PackedFeatureTask]):
    (task,) = (task for task in tasks if task.kernel.name == "item_features")
    items = task.packer.data.items
    name = next(field.name for field in items.schema if pa.types.is_string(field.type))
    column = items.column(name)
    offsets = np.frombuffer(column.buffers()[1], np.int32).copy()
    offsets[2] = 2**30
    broken = pa.Array.from_buffers(pa.string(), len(column), [None, pa.py_buffer(offsets), column.buffers()[2]])
    names = items.schema.names
    batch = pa.record_batch([broken if one == name else items.column(one) for one in names], names=names)
    with pytest.raises(tvm_rank.TuningError, match=rf"requests: items column '{name}' is damaged"):
        RequestData.of(tvm_rank.Samples(items=batch))
    other = dataclasses.replace(task.packer, data=dataclasses.replace(task.packer.data, items=items.drop_columns([name])))
    with pytest.raises(tvm_rank.TuningError, match=f"column '{name}' is missing"):
        other.packed(0, 5, of_items=True)
