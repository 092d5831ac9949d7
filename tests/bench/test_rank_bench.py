"""rank-bench is what it says, and the baselines' features are those of the references."""

from __future__ import annotations

import importlib
import json
import pathlib

import numpy as np
import pytest

from tvm_rank.bench import ceilings, rank_bench
from tvm_rank.bench.peers import features
from tvm_rank.bench.peers.ready import write_inputs
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.bench.peers.serve import Refused
from tvm_rank.bench.workloads import expected, model_inputs, names_of
from tvm_rank.zoo.workload import Workload

ITEMS = 12


@pytest.fixture(scope="module", params=rank_bench.VARIANTS)
def workload(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """Two requests of the small form."""
    folder = tmp_path_factory.mktemp("rank_bench") / request.param
    return rank_bench.build(folder, variant=request.param, small=True, requests=2, items=ITEMS)


def test_the_dense_model_has_893_inputs(workload: Workload):
    (feeds, _) = model_inputs(workload, 2, ITEMS)
    assert feeds["user"].shape == (ITEMS, 292)
    assert feeds["item"].shape == (ITEMS, 569)
    assert feeds.get("sequence", np.zeros((ITEMS, 32))).shape == (ITEMS, 32)
    assert feeds.get("click", np.zeros((ITEMS, 50, 32))).shape == (ITEMS, 50, 32)
    (scores, _) = expected(workload, [feeds, feeds], ITEMS)
    assert np.ptp(scores["score"]) > 0.01  # items differ


def test_the_large_form_has_a_gigabyte_of_tables():
    tables = rank_bench._Features("mean", small=False)
    tables.all(np.random.default_rng(0))
    assert 1.0e9 < sum(tables.rows.values()) * rank_bench.DIM * 4 < 1.05e9
    assert tables.rows["user_id"] == 1_000_000


def test_features_of_baselines_are_those_of_the_references(workload: Workload):
    pytest.importorskip("farmhash")
    parts, tables = features.read_parts(workload.features), workload.read_tables()
    for (user, items), wanted in zip(read_requests(str(workload.folder), 2, ITEMS), model_inputs(workload, 2, ITEMS), strict=True):
        found = features.inputs_of(parts, tables, user, items)
        assert found.keys() == wanted.keys()
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, atol=2e-6)
    column = parts.index(next(part for part in parts if part.kind == "overlap"))
    assert features.values_of(parts, user, items)[column].max() > 0  # a third of the titles share a word


@pytest.mark.parametrize(("package", "entry"), [("onnxruntime", "OnnxRuntime"), ("torch", "Torch"), ("tensorflow", "TensorFlow")])
def test_a_baseline_has_the_expected_scores(workload: Workload, package: str, entry: str):
    for needed in (package, "farmhash"):
        pytest.importorskip(needed)
    feeds = model_inputs(workload, 2, ITEMS)
    for number, feed in enumerate(feeds):
        write_inputs(workload.folder, number, feed)
    baseline = getattr(importlib.import_module(f"tvm_rank.bench.peers.{package}_peer"), entry)()
    baseline.open({"folder": str(workload.folder), "inputs": str(workload.folder), "requests": 2, "threads": 1})
    assert baseline.parts == ("all", "model")
    for part in baseline.parts:
        for call, wanted in zip(baseline.calls(ITEMS, part), expected(workload, feeds, ITEMS), strict=True):
            np.testing.assert_allclose(call()["score"], wanted["score"], atol=1e-5)


def test_features_that_baselines_do_not_know_are_refused_by_name(workload: Workload, tmp_path: pathlib.Path):
    config = json.loads(workload.features.read_text(encoding="utf-8"))
    config["features"][0]["default_value"] = "nobody"
    (tmp_path / "fg.json").write_text(json.dumps(config))
    with pytest.raises(Refused, match="the features of rank-bench only, not 'user_id'"):
        features.read_parts(tmp_path / "fg.json")


def test_names_of_workloads():
    assert names_of(["rank-bench-din-small", "lr", "lr"]) == ("rank-bench-din-small", "lr")
    assert "dien" in names_of(["zoo"])


def test_ceilings_are_measured(monkeypatch: pytest.MonkeyPatch):
    for name, value in {"TABLE_BYTES": 1 << 20, "COPY_BYTES": 1 << 20, "ROWS": 1 << 12, "ROUNDS": 2, "ROUND_S": 0.001}.items():
        monkeypatch.setattr(ceilings, name, value)
    found = ceilings.measure([1])
    assert found[1].keys() == {"gflops", "copy_gb_s", "row_ns"}
    assert found[1]["gflops"] > 0.5
    assert min(found[1].values()) > 0
