"""scripts/bench_features.py: it compares before it measures, and every type that is compiled has a workload."""

from __future__ import annotations

import dataclasses
import pathlib
import sys

import pytest

from tvm_rank.config.types import FEATURE_TYPES

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
LIBRARIES = {"regex_replace_feature", "text_normalizer", "tokenize_feature"}


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import bench_features

    yield bench_features
    for name in [name for name in sys.modules if name.split(".")[0] in ("bench_features", "benching")]:
        del sys.modules[name]


def test_a_workload_is_measured_only_if_both_ways_give_the_same(bench, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--rows", "200", "--rounds", "1", "--threads", "1", "--only", "combine"])
    assert bench.main() == 0
    assert "combine_feature" in capsys.readouterr().out
    (workload,) = [w for w in bench.workloads(200, 0) if w.name == "combine_feature"]
    right = workload.ways["NumPy"]
    wrong = dataclasses.replace(workload, ways={"NumPy": lambda c: dataclasses.replace(right(c), dense=right(c).dense + 1)})
    assert "numbers differ" in bench.measure(wrong, [1], 1)["differs"]


def test_every_compiled_type_has_a_workload(bench):
    assert {w.keys["feature_type"] for w in bench.workloads(10, 0)} | LIBRARIES >= set(FEATURE_TYPES) - {"custom_feature"}
