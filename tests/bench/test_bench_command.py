"""`tvm-rank bench` over one small model: what it writes, what it refuses, and that it is never left with half a file."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import tvm_rank
from tvm_rank import zoo
from tvm_rank.bench.contest import OWN, Process, Refusal
from tvm_rank.bench.lookups import parts_without
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.bench.results import Results
from tvm_rank.cli.main import main

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHORT = ["--rounds", "3", "--seconds", "0.01", "--requests", "2", "--no-ceilings", "--quiet"]


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> zoo.Workload:
    """Logistic regression with its scores."""
    found = zoo.build("lr", tmp_path_factory.mktemp("bench") / "lr_files", requests=2, items=8)
    np.save(found.folder / "scores.npy", zoo.oracle(found).reshape(2, 8))
    return found


@pytest.fixture(scope="module")
def bench(workload: zoo.Workload) -> Callable[..., int]:
    """`bench(option, ...)`: the command over that model, compiled once."""

    def call(*options: object) -> int:
        return main(["bench", *arguments(workload), *map(str, options)])

    return call


def arguments(workload: zoo.Workload) -> Sequence[str]:
    """Of all runs."""
    return ["--workloads", str(workload.folder), "--folder", str(workload.folder.parent), "--batch-sizes", "4,8", *SHORT]


@pytest.fixture(scope="module")
def measured(bench: Callable[..., int], workload: zoo.Workload) -> pathlib.Path:
    """A run next to ONNX Runtime, as JSON; result.html and result.md lie beside it."""
    path = workload.folder.parent / "result.json"
    written = ["--json", path, "--html", path.with_suffix(".html"), "--markdown", path.with_suffix(".md")]
    assert (
        bench("--against", "onnxruntime", "--targets", "cpu,aarch64", "--precisions", "fp32,tf32", "--threads", "1", *written) == 0
    )
    return path


def test_a_run_has_every_contestant_with_checked_scores(measured: pathlib.Path):
    results = Results.load(measured)
    assert results.finished
    names = {one.name for one in results.measurements}
    assert {"tvm-rank cpu fp32", "onnxruntime, model only"} <= names
    assert {one.items for one in results.measurements} == {4, 8}
    for one in results.measurements:
        assert one.difference < 1e-5
        assert len(one.rounds_us) == 3
        assert 0 < one.p50_us <= one.p90_us <= one.p99_us
        assert one.items_per_s == pytest.approx(one.requests_per_s * one.items, rel=0.01)
    own = next(one for one in results.measurements if one.contestant == "tvm-rank" and one.items == 8)
    assert own.split().keys() == {"features", "dense", "other", "outside"}
    assert own.work.flops == sum(kernel.flops for kernel in own.kernels)
    assert own.work.table_rows >= 8  # an item has an item_id, at least most of them


def test_lookups_are_told_apart_by_a_kernel_without_them(measured: pathlib.Path, workload: zoo.Workload):
    path = workload.folder.parent / "artifacts" / workload.folder.name / "cpu-fp32"
    engine = tvm_rank.load(path)
    requests = [{"user": user, "items": items} for user, items in read_requests(str(workload.folder), 2, 8)]
    shares = parts_without(path, engine, requests)
    assert "item_features" in shares
    assert all(share > 0 for share in shares.values())
    assert len(next(iter(engine.rank(**requests[0]).values()))) == 8  # nothing waits any more
    own = next(one for one in Results.load(measured).measurements if one.contestant == "tvm-rank" and one.items == 8)
    assert all(0 <= kernel.lookups_us <= kernel.us for kernel in own.kernels)
    assert {kernel.name for kernel in own.kernels if kernel.lookups_us} <= shares.keys()
    assert "lookups alone" in measured.with_suffix(".md").read_text()
    old = json.loads(measured.read_text())
    for kernel in (kernel for one in old["measurements"] for kernel in one["kernels"]):
        del kernel["lookups_us"]
    (measured.parent / "old.json").write_text(json.dumps(old))
    assert Results.load(measured.parent / "old.json").measurements[0].kernels[0].lookups_us == 0


def test_what_was_not_run_is_named(measured: pathlib.Path):
    why = {one.contestant: one.why for one in Results.load(measured).not_run}
    assert "this machine is" in why["tvm-rank aarch64"]
    assert "from raw fields it" in why["onnxruntime"]
    assert "there layers are in fp32, bf16, int8" in why["tvm-rank cpu tf32"]


def test_the_page_needs_no_other_file(measured: pathlib.Path):
    page = measured.with_suffix(".html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 3
    assert page.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    assert "<script" not in page


def test_the_document_says_how_to_measure_again(measured: pathlib.Path):
    text = measured.with_suffix(".md").read_text(encoding="utf-8")
    assert "| onnxruntime, model only |" in text
    assert f"    tvm-rank bench --workloads {measured.parent / 'lr_files'} --targets cpu,aarch64" in text


def test_results_that_are_slower_beyond_noise_are_status_1(measured: pathlib.Path, tmp_path: pathlib.Path, capsys: Any):
    was = json.loads(measured.read_text(encoding="utf-8"))
    for one in was["measurements"]:
        one["rounds_us"] = [100.0, 101.0, 102.0]
        one["foreign"] = one["steal"] = 0.0  # other tests use the cores
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(was))
    assert main(["bench", "--show", str(old), "--compare", str(old)]) == 0
    for one in was["measurements"]:
        one["rounds_us"] = [120.0, 121.0, 122.0]
    new.write_text(json.dumps(was))
    capsys.readouterr()
    assert main(["bench", "--show", str(new), "--compare", str(old)]) == 1
    assert "tvm-rank are slower beyond the noise" in capsys.readouterr().out
    assert main(["bench", "--show", str(old), "--compare", str(new)]) == 0


@pytest.mark.usefixtures("measured")
def test_wrong_scores_are_never_timed(bench: Callable[..., int], workload: zoo.Workload, tmp_path: pathlib.Path, capsys: Any):
    path, right = workload.folder / "scores.npy", np.load(workload.folder / "scores.npy")
    np.save(path, right + np.float32(1e-3))
    try:
        assert bench("--json", tmp_path / "result.json") == 1
    finally:
        np.save(path, right)
    assert "differ by 1.0e-03 from the expected ones, more than 1e-05; nothing of it was timed" in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workloads", "no_such"], "workload 'no_such': is no folder; give one with fg.json, model.onnx"),
        (["--against", "caffe"], "baseline 'caffe': give onnxruntime, tensorflow, torch"),
        (["--against", "torch", "--baseline-python", "torch=/no/python"], "torch: /no/python cannot be started"),
        (["--precisions", "fp8"], "precision 'fp8': give fp32, bf16, fp16, tf32, int8"),
        (["--targets", "cuda"], "name the GPU by its compute capability"),
        (["--compare", "/no/file.json"], "/no/file.json: cannot be compared with"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(bench: Callable[..., int], capsys: Any, options: Sequence[str], message: str):
    assert bench(*options) == 1
    assert message in capsys.readouterr().err


def test_a_run_that_measured_nothing_fails(bench: Callable[..., int], capsys: Any):
    assert bench("--targets", "aarch64") == 1
    assert "nothing was measured: tvm-rank aarch64: this machine is" in capsys.readouterr().err


def test_a_process_that_lacks_a_package_is_refused_with_the_next_step():
    process = Process("torch", "no_such_package.peer:Peer", sys.executable)
    try:
        with pytest.raises(Refusal, match=r"has no no_such_package; install it with `pip install .*--baseline-python torch=PATH"):
            process.ask(do="import")
    finally:
        process.close()


@pytest.mark.usefixtures("measured")
def test_an_interrupted_run_leaves_what_was_finished(workload: zoo.Workload, tmp_path: pathlib.Path):
    path = tmp_path / "result.json"
    command = [sys.executable, "-m", "tvm_rank", "bench", *arguments(workload), "--json", str(path)]
    command[command.index("4,8")] = "4,5,6,7,8"
    command[command.index("0.01")] = "0.5"
    command.remove("--quiet")
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith("4 items, 1 thread: measured\n"):
            break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    results = Results.load(path)
    assert not results.finished
    assert {one.items for one in results.measurements} == {4}
    assert list(tmp_path.iterdir()) == [path]


def test_the_engine_is_a_contestant_like_others(measured: pathlib.Path):
    process = Process("tvm-rank", OWN)
    try:
        (artifact,) = (measured.parent / "artifacts").glob("*/cpu-fp32")
        given = {
            "artifact": str(artifact),
            "folder": str(measured.parent / "lr_files"),
            "requests": 2,
            "threads": 1,
            "tables": "mapped",
        }
        assert process.ask(do="open", **given)["parts"] == ["all"]
        found = process.ask(do="round", items=3, seconds=0.01, part="all")
        assert min(found["times_us"]) > 0
        assert found["cpu_s"] > 0
    finally:
        process.close()
