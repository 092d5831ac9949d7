"""Models that are compiled once for all tests of this folder."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest

import tvm_rank
from tvm_rank import zoo

REQUESTS, ITEMS = 3, 50
WITH_NUMPY = [name for name, model in zoo.MODELS.items() if model.dense]  # the others are compiled by tests/zoo


@pytest.fixture(scope="session")
def workloads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, zoo.Workload]:
    """Both models, as files."""
    folder = tmp_path_factory.mktemp("zoo")
    return {name: zoo.build(name, folder / name, requests=REQUESTS, items=ITEMS) for name in WITH_NUMPY}


@pytest.fixture(scope="session")
def engine_of(workloads: dict[str, zoo.Workload]) -> Callable[..., tvm_rank.Engine]:
    """`engine_of(name, target)`: the model compiled, saved and loaded; once for each."""
    made: dict[tuple[str, str], tvm_rank.Engine] = {}

    def make(name: str, target: str = "cpu") -> tvm_rank.Engine:
        if (name, target) not in made:
            workload = workloads[name]
            path: pathlib.Path = workload.folder / f"artifact_{target}"
            tvm_rank.compile(features=workload.features, model=workload.model, tables=workload.tables, target=target).save(path)
            made[name, target] = tvm_rank.load(path)
        return made[name, target]

    return make
