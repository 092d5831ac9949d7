"""Artifacts for GPUs, on an emulated one: from raw fields to scores, and what is refused."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tvm

import tvm_rank
from te_schedules.column_group.kernel import Knobs
from te_schedules.trees import TreeKnobs
from tvm_rank import zoo
from tvm_rank.artifact import store
from tvm_rank.bench.results import Results
from tvm_rank.cli.main import main
from tvm_rank.pipeline_gpu import is_for
from tvm_rank.runtime.profile import profile
from tvm_rank.schedule import Schedule
from tvm_rank.zoo.workload import request_of

pytestmark = pytest.mark.usefixtures("emulated")
MOST_LAUNCHES = 10
SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> zoo.Workload:
    return zoo.build("lr", tmp_path_factory.mktemp("lr"))


def brought(workload: zoo.Workload) -> dict[str, Any]:
    return {"features": workload.features, "model": workload.model, "tables": workload.tables}


@pytest.fixture(scope="module")
def artifact(workload: zoo.Workload, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("gpu") / "artifact"
    tvm_rank.compile(**brought(workload), target="cuda-sm_90").save(folder)
    return folder


@pytest.fixture(scope="module")
def engine(artifact: pathlib.Path) -> tvm_rank.Engine:
    return tvm_rank.load(artifact, device="cuda")


def test_scores_are_the_oracles_for_one_request_and_for_three(engine: tvm_rank.Engine, workload: zoo.Workload):
    wanted, items = zoo.outputs(workload)["score"], workload.read_items()
    of = request_of(items)
    np.testing.assert_allclose(engine.rank(workload.read_user(), items, of)["score"], wanted, rtol=0, atol=1e-6)
    for request in (0, 2):
        got = engine.rank(workload.read_user(request), workload.read_items(request))["score"]
        np.testing.assert_allclose(got, wanted[of == request], rtol=0, atol=1e-6)


def test_a_request_is_one_copy_there_and_few_launches(engine: tvm_rank.Engine, workload: zoo.Workload, emulated):
    user, items = workload.read_user(0), workload.read_items(0)
    engine.rank(user, items)
    launches, copies = emulated.emulated_launches(), emulated.emulated_copies()
    engine.rank(user, items)
    assert emulated.emulated_launches() - launches <= MOST_LAUNCHES
    results = len(engine.manifest.outputs) + len(engine.manifest.refusals)
    assert emulated.emulated_copies() - copies == 1 + results


def test_damaged_columns_are_refused_before_they_are_copied(engine: tvm_rank.Engine, workload: zoo.Workload):
    items = workload.read_items(0)
    wrong = {name: items.column(name) for name in items.column_names if name != "item_id"}
    with pytest.raises(tvm_rank.InputError, match="item_id"):
        engine.rank(workload.read_user(0), wrong)


def test_the_manifest_says_which_gpu_and_the_stages_have_its_source(artifact: pathlib.Path):
    manifest = store.read(artifact)
    assert manifest.target == "cuda-sm_90"
    assert "sm_90" in manifest.needs
    assert (artifact / "stages" / "cuda.gz").exists()


def test_inspect_and_check_know_such_an_artifact(artifact: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(artifact)]) == 0
    text = capsys.readouterr().out
    assert "threads 64, lanes 0; dense: modelled for each layer" in text
    assert re.search(r"kernel +kind +sink +columns +lanes\n", text)
    assert tvm_rank.check(artifact).ok


def test_the_artifact_is_not_loaded_for_another_device_or_gpu(artifact: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(tvm_rank.RankError, match="compiled for cuda"):
        tvm_rank.load(artifact, device="cpu")
    monkeypatch.setenv("EMULATED_SM", "80")
    with pytest.raises(tvm_rank.ArtifactError, match=r"target cuda-sm_90\), this machine's GPU has sm_80, wanted sm_90"):
        tvm_rank.load(artifact)
    monkeypatch.setenv("EMULATED_GPUS", "0")
    with pytest.raises(tvm_rank.ArtifactError, match="no GPU that the driver can use"):
        tvm_rank.load(artifact)
    monkeypatch.setenv("EMULATED_OLD_DRIVER", "1")
    with pytest.raises(tvm_rank.ArtifactError, match=r"error 35 of CUDA\); the driver is for CUDA 12\.2, wanted for CUDA 13\.0"):
        tvm_rank.load(artifact)


def test_a_machine_without_the_driver_refuses_it(artifact: pathlib.Path, fresh_python: Callable[..., str]):
    code = f"import tvm_rank\ntry:\n    tvm_rank.load({str(artifact)!r})\nexcept tvm_rank.ArtifactError as error:\n    print(error)"
    assert "NVIDIA's driver or runtime is not here" in fresh_python(code)


def test_what_is_not_there_for_gpus_is_refused_by_name(workload: zoo.Workload):
    with pytest.raises(tvm_rank.TargetError, match="compute capability, such as cuda-sm_80"):
        tvm_rank.compile(**brought(workload), target="cuda")


def test_trees_score_as_the_oracle(tmp_path: pathlib.Path):
    trees = zoo.build("gbdt", tmp_path / "zoo")
    tvm_rank.compile(**brought(trees), target="cuda-sm_90").save(tmp_path / "artifact")
    items = trees.read_items()
    got = tvm_rank.load(tmp_path / "artifact").rank(trees.read_user(), items, request_of(items))
    for name, wanted in zoo.outputs(trees).items():
        np.testing.assert_allclose(got[name], wanted, rtol=0, atol=1e-6)


def test_the_same_kernels_run_on_a_cpu_with_loops_for_threads(workload: zoo.Workload, tmp_path: pathlib.Path):
    threads = Schedule(features=Knobs(threads=64))
    tvm_rank.compile(**brought(workload), tuning=threads).save(tmp_path / "artifact")
    items = workload.read_items()
    got = tvm_rank.load(tmp_path / "artifact").rank(workload.read_user(), items, request_of(items))["score"]
    np.testing.assert_allclose(got, zoo.outputs(workload)["score"], rtol=0, atol=1e-6)


def test_threads_of_either_kind_of_kernel_make_all_of_them_a_gpus():
    cpu = tvm.target.Target("llvm")
    assert is_for(cpu, Schedule(features=Knobs(threads=64)))
    assert is_for(cpu, Schedule(trees=TreeKnobs(threads=64)))
    assert not is_for(cpu, Schedule())


def test_the_kernels_of_a_request_are_timed_one_by_one(engine: tvm_rank.Engine, workload: zoo.Workload):
    request = {"user": workload.read_user(0), "items": workload.read_items(0)}
    whole, kernels = profile(engine, [request], turns=2)
    assert whole > 0
    assert {"request_features", "item_features"} <= {kernel.name for kernel in kernels}
    assert all(kernel.calls == 1 for kernel in kernels)


def test_the_command_of_a_bundle_checks_and_measures_on_the_gpu(
    artifact: pathlib.Path, emulated_folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from bundling import make, runtime_part

    bundle, minor = tmp_path / "gpu-bundle", "{}.{}".format(*sys.version_info)
    made = make.write_models(
        bundle, SimpleNamespace(artifacts=lambda _name, archs: dict.fromkeys(archs, artifact)), ["lr"], ["sm_90"]
    )
    runtime_part.write_project(bundle / "lib")
    runtime_part.write_libraries(bundle / "lib", emulated_folder / runtime_part.CUDART)
    make.write_command(bundle, made, [minor])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "LD_LIBRARY_PATH": str(emulated_folder)
    }

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(bundle / "run.py"), "--seconds", "0.01", "--no-torch"]
        return subprocess.run(
            command, cwd=tmp_path, env=environment | more, capture_output=True, text=True, timeout=300, check=False
        )

    assert (done := run()).returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert (results["arch"], results["machine"]["capability"]) == ("sm_90", "sm_90")
    assert results["checks"]["lr"]["ok"]
    assert results["copies"]["to_gpu_gb_s"] > 0
    done = run(EMULATED_SM="80")
    assert (done.returncode, done.stdout) == (3, "")
    assert "this machine's GPU has sm_80; the bundle is for sm_90" in done.stderr
    done = run(EMULATED_GPUS="0")
    assert done.returncode == 3
    assert "this machine has no GPU that the driver can use; the bundle is for GPUs with sm_90" in done.stderr


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="NVIDIA's CUDA toolkit is not installed")
def test_nvidias_compiler_takes_the_kernels_of_an_artifact(artifact: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    import gzip
    import os

    from te_schedules.gpu.compile import cubin

    source = gzip.decompress((artifact / "stages" / "cuda.gz").read_bytes()).decode()
    real = [folder for folder in os.environ["PATH"].split(os.pathsep) if "emulator" not in folder]
    monkeypatch.setenv("PATH", os.pathsep.join(real))
    assert cubin(source, "sm_90").startswith(b"\x7fELF")


def test_a_benchmark_measures_a_gpu(emulated_folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(emulated_folder))  # of the contestant's process
    options = ["--rounds", "2", "--seconds", "0.01", "--requests", "2", "--no-ceilings", "--quiet", "--batch-sizes", "4"]
    options += [
        "--targets",
        "cuda-sm_90",
        "--precisions",
        "tf32,int8",
        "--folder",
        str(tmp_path),
        "--json",
        str(tmp_path / "found.json"),
    ]
    assert main(["bench", "--workloads", "lr", *options]) == 0
    results = Results.load(tmp_path / "found.json")
    (own,) = results.measurements
    assert (own.target, own.precision) == ("cuda-sm_90", "tf32")
    assert own.p50_us > 0
    assert {kernel.name for kernel in own.kernels} >= {"item_features"}
    assert ["fp32, bf16, fp16, tf32" in one.why for one in results.not_run] == [True]
