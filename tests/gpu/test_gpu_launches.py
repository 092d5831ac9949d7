"""What a request of rank-bench costs of launches on a GPU, on an emulated one."""

from __future__ import annotations

import ctypes
import pathlib

import numpy as np

import tvm_rank
from tvm_rank.bench import rank_bench

MOST_LAUNCHES = 10
ITEMS, REQUESTS = 24, 2


def test_rank_bench_is_few_launches_and_then_one(emulated: ctypes.CDLL, tmp_path: pathlib.Path):
    workload = rank_bench.build(tmp_path / "files", small=True, requests=REQUESTS, items=ITEMS)
    brought = {"features": workload.features, "model": workload.model, "tables": workload.tables}
    tvm_rank.compile(**brought, target="cuda-sm_90").save(tmp_path / "artifact")
    engine = tvm_rank.load(tmp_path / "artifact")
    found = []
    for number in (0, 1, 0, 0):
        before = emulated.emulated_launches(), emulated.emulated_graphs()
        scores = engine.rank(workload.read_user(number), workload.read_items(number))["score"]
        found.append((number, scores, emulated.emulated_launches() - before[0], emulated.emulated_graphs() - before[1]))
    assert max(launches for _, _, launches, _ in found) <= MOST_LAUNCHES
    assert [graphs for *_, graphs in found] == [0, 0, 1, 1]
    np.testing.assert_array_equal(found[0][1], found[3][1])
    assert tvm_rank.check(tmp_path / "artifact", rounds=1).ok
