"""scripts/bench_rank.py: it times what it checked, and refuses to time wrong scores."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import tvm_rank
from tvm_rank import zoo

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "bench_rank.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the script in a fresh interpreter of this tree."""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture
def folder(engine_of: Callable[..., tvm_rank.Engine], workloads: dict[str, zoo.Workload], tmp_path: pathlib.Path) -> pathlib.Path:
    """The files of criteo, its artifact in `artifact_cpu`, and its scores."""
    engine_of("criteo")
    workload = workloads["criteo"]
    copy = shutil.copytree(workload.folder, tmp_path / "files")
    np.save(copy / "scores.npy", zoo.oracle(workload).reshape(workload.read_user().num_rows, -1))
    return copy


def test_a_run_reports_quantiles_kernels_and_the_floor(folder: pathlib.Path):
    options = ["--seconds", 0.1, "--rounds", 2, "--requests", 3, "--json", folder / "result.json"]
    done = run(folder, "--artifact", folder / "artifact_cpu", *options)
    assert done.returncode == 0, done.stderr
    assert "GFLOP/s" in done.stdout
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["largest_difference"] <= 1e-5
    assert len(result["rounds"]) == 2
    assert all(0 < entry["min"] <= entry["p50"] <= entry["p99"] for entry in result["rounds"])
    assert result["kernels"]["item_features"]["calls"] == 1
    assert result["kernels"]["dense_13x64_relu"]["flop"] == result["items"] * (2 * 13 + 1) * 64
    assert 0 < result["floor"]["ids"] <= 26 * result["items"]
    assert result["floor"]["table_bytes"] == pytest.approx(result["floor"]["ids"] * zoo.criteo.DIM * 4)


def test_wrong_scores_are_not_timed(folder: pathlib.Path):
    np.save(folder / "scores.npy", np.load(folder / "scores.npy") + np.float32(1e-4))
    done = run(folder, "--artifact", folder / "artifact_cpu", "--json", folder / "result.json")
    assert done.returncode == 1
    assert "a score differs by more than 1e-05" in done.stderr
    assert not (folder / "result.json").exists()


def test_a_folder_without_the_files_is_refused_with_their_names(tmp_path: pathlib.Path):
    done = run(tmp_path)
    assert done.returncode == 2
    assert "has no fg.json, model.onnx" in done.stderr
    assert "Traceback" not in done.stderr
