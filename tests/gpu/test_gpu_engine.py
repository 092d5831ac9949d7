"""Artifacts for GPUs, on an emulated one: from raw fields to scores, and what is refused."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tvm_rank
from te_schedules.column_group.kernel import Knobs
from tvm_rank import zoo
from tvm_rank.artifact import store
from tvm_rank.cli.main import main
from tvm_rank.schedule import Schedule
from tvm_rank.zoo.workload import request_of

pytestmark = pytest.mark.usefixtures("emulated")
MOST_LAUNCHES = 10


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
    assert "threads 64; dense: by TVM's rules" in text
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


def test_a_machine_without_the_driver_refuses_it(artifact: pathlib.Path, fresh_python: Callable[..., str]):
    code = f"import tvm_rank\ntry:\n    tvm_rank.load({str(artifact)!r})\nexcept tvm_rank.ArtifactError as error:\n    print(error)"
    assert "NVIDIA's driver or runtime for a GPU with sm_90 is not here" in fresh_python(code)


def test_what_is_not_there_for_gpus_is_refused_by_name(workload: zoo.Workload):
    with pytest.raises(tvm_rank.TargetError, match="an item store"):
        tvm_rank.compile(**brought(workload), target="cuda-sm_80", items=workload.read_items(0), item_key="item_id")
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


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="NVIDIA's CUDA toolkit is not installed")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_nvidias_compiler_takes_the_kernels(artifact: pathlib.Path, arch: str, monkeypatch: pytest.MonkeyPatch):
    import gzip
    import os

    from te_schedules.gpu.compile import cubin

    source = gzip.decompress((artifact / "stages" / "cuda.gz").read_bytes()).decode()
    real = [folder for folder in os.environ["PATH"].split(os.pathsep) if "emulator" not in folder]
    monkeypatch.setenv("PATH", os.pathsep.join(real))
    assert cubin(source, arch).startswith(b"\x7fELF")
