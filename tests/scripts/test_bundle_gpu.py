"""The bundle for machines with a GPU: what it brings runs without the compiler, and its command checks, measures, and refuses plainly."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tvm
from cases.rpc_servers import killed, known, tracker_alone

import tvm_rank
from tvm_rank import zoo

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
MINOR = "{}.{}".format(*sys.version_info)


@pytest.fixture(scope="module")
def bundling() -> SimpleNamespace:
    """The modules that make a bundle."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        from bundling import artifacts, make, runtime_part, server_part

        return SimpleNamespace(artifacts=artifacts, make=make, runtime_part=runtime_part, server_part=server_part)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A model of the zoo, compiled."""
    folder = tmp_path_factory.mktemp("built")
    workload = zoo.build("lr", folder / "files")
    tvm_rank.compile(features=workload.features, model=workload.model, tables=workload.tables).save(folder / "lr")
    return folder / "lr"


@pytest.fixture(scope="module")
def bundle(bundling: SimpleNamespace, built: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A bundle with this model alone, for the CPU and, by name, for a GPU that there is none of; other packages are those of this Python."""
    folder = tmp_path_factory.mktemp("bundle") / "gpu-bundle"
    builder = SimpleNamespace(artifacts=lambda _name, archs: dict.fromkeys(archs, built))
    made = bundling.make.write_models(folder, builder, ["lr"], ["sm_10"])
    bundling.runtime_part.write_project(folder / "lib")
    bundling.server_part.write_server(folder / "lib")
    bundling.make.write_command(folder, made, [MINOR])
    (folder / "lib" / "native").mkdir()
    for library in bundling.runtime_part.tvm_libraries():
        (folder / "lib" / "native" / library.name).symlink_to(library)
    bundling.make.link_equal_files(folder)
    return folder


def run_in(bundle: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command of a bundle, which finds none of this tree."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", str(bundle / "run.py"), *arguments]
    return subprocess.run(command, cwd=bundle.parent, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_checks_and_measures_on_a_cpu(bundle: pathlib.Path, tmp_path: pathlib.Path):
    done = run_in(bundle, "--cpu", "--seconds", "0.01", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["ok"]
    assert results["checks"]["lr"]["outputs"][0]["output"] == "score"
    assert results["copies"]["on_cpu_gb_s"] > 0
    text = (tmp_path / "out" / "results.txt").read_text()
    assert "ok: all scores are right" in text
    assert text in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["results.json", "results.txt"]


def test_what_was_done_before_an_interrupt_is_kept(bundle: pathlib.Path, tmp_path: pathlib.Path):
    command = [sys.executable, str(bundle / "run.py"), "--cpu", "--seconds", "60", "--out", str(tmp_path)]
    running = subprocess.Popen(command, cwd=bundle.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while "checks" not in (written := _read(tmp_path / "results.json")):
        assert time.monotonic() < until, "no result is written"
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted; what was done until here is written" in said
    assert "ok" not in written
    assert "unfinished: not all steps are done" in (tmp_path / "results.txt").read_text()


def test_a_machine_with_the_bundle_measures_for_a_tuning(bundle: pathlib.Path, tmp_path: pathlib.Path):
    """The server finds none of this tree, and no compiler."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tracker_alone() as tracker:
        where = ["--tracker", f"{tracker.host}:{tracker.port}", "--key", tracker.key, "--host", "127.0.0.1", "--port", "9500"]
        command = [sys.executable, str(bundle / "serve.py"), *where]
        refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (refused.returncode, "--cpu serves the CPU" in refused.stderr) == (3, True)
        server = subprocess.Popen([*command, "--cpu"], cwd=tmp_path, env=environment, start_new_session=True)
        try:
            until = time.monotonic() + 60
            while not known(tracker):
                assert time.monotonic() < until, "the server does not start"
                time.sleep(0.2)
            maps = pathlib.Path(f"/proc/{_child(server.pid)}/maps").read_text()
            assert "libtvm_runtime" in maps
            assert "libtvm_compiler" not in maps
            remote = tvm.rpc.connect_tracker(tracker.host, tracker.port).request(tracker.key)
            given = np.arange(5, dtype=np.float32)
            np.testing.assert_array_equal(tvm.runtime.tensor(given, device=remote.cpu()).numpy(), given)
            del remote
        finally:
            killed(server)


def test_a_server_whose_session_dies_is_started_again_and_a_signal_ends_it(bundle: pathlib.Path, tmp_path: pathlib.Path):
    with tracker_alone() as tracker:
        where = ["--tracker", f"{tracker.host}:{tracker.port}", "--key", tracker.key, "--host", "127.0.0.1", "--port", "9500"]
        said = tmp_path / "said"
        with said.open("w") as file:
            command = [sys.executable, str(bundle / "serve.py"), *where, "--cpu"]
            server = subprocess.Popen(command, cwd=tmp_path, stderr=file, start_new_session=True)
        try:
            _wait(lambda: known(tracker), "the server does not start")
            first = _child(server.pid)
            remote = tvm.rpc.connect_tracker(tracker.host, tracker.port).request(tracker.key, session_timeout=60)
            _wait(lambda: _child(first), "no session")
            os.kill(_child(first), signal.SIGSEGV)  # as a candidate that reads where nothing is
            _wait(lambda: _child(server.pid) not in (0, first) and known(tracker), "it is not started again")
            second = _child(server.pid)
            assert said.read_text().count("the server ended, since what it measured died; it is started again") == 1
            del remote
            os.kill(second, signal.SIGKILL)
            _wait(lambda: _child(server.pid) not in (0, second) and known(tracker), "it is not started again")
            assert "by signal 9" in said.read_text()
            third = _child(server.pid)
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 128 + signal.SIGTERM
            assert not pathlib.Path(f"/proc/{third}").exists()
        finally:
            killed(server)


def test_a_server_that_cannot_start_ends_the_command(bundle: pathlib.Path, tmp_path: pathlib.Path):
    command = [sys.executable, str(bundle / "serve.py"), "--tracker", "nobody:1", "--key", "k", "--host", "203.0.113.1", "--cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "Cannot assign requested address" in done.stderr) == (1, True), done.stderr


def _child(process: int) -> int:
    """The first process that one has started; 0 without any."""
    try:
        tasks = sorted(pathlib.Path(f"/proc/{process}/task").iterdir())
        return int([*(child for task in tasks for child in (task / "children").read_text().split()), 0][0])
    except OSError:
        return 0


def _wait(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.2)


def _read(path: pathlib.Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def test_a_model_that_fails_is_named_and_the_status_tells(bundle: pathlib.Path, tmp_path: pathlib.Path):
    scores = bundle / "artifacts" / "cpu" / "lr" / "samples" / "scores_0.npy"
    whole = scores.read_bytes()
    try:
        scores.unlink()  # and not the other names of the file
        scores.write_bytes(whole[:-4] + b"\0\0\0\0")
        done = run_in(bundle, "--cpu", "--seconds", "0.01", "--out", str(tmp_path))
    finally:
        scores.write_bytes(whole)
    assert done.returncode == 1
    assert "samples/scores_0.npy was altered" in done.stdout
    assert json.loads((tmp_path / "results.json").read_text())["ok"] is False


def test_without_a_fitting_gpu_or_python_it_says_so(bundle: pathlib.Path, tmp_path: pathlib.Path):
    done = run_in(bundle, "--out", str(tmp_path / "none"))
    assert done.returncode == 3
    assert "sm_10" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "none").exists()
    says = (bundle / "bundle.json").read_text()
    try:
        (bundle / "bundle.json").write_text(says.replace(f'"{MINOR}"', '"2.7"'))
        done = run_in(bundle, "--cpu")
    finally:
        (bundle / "bundle.json").write_text(says)
    assert done.returncode == 2
    assert f"this is Python {MINOR}; the bundle has libraries for 2.7" in done.stderr
    assert run_in(bundle, "--cpu", "--models", "nothing").returncode == 2


def test_the_projects_part_loads_artifacts_without_the_compilers_modules(
    bundle: pathlib.Path, built: pathlib.Path, bundling: SimpleNamespace, fresh_python: Callable[..., str]
):
    code = f"""
import os, sys
for name in {bundling.runtime_part.COMPILER}:
    sys.modules[name] = None  # to import it is an error
sys.path[:] = [{str(bundle / "lib" / "common")!r}] + [path for path in sys.path if path not in ("", {str(SCRIPTS.parent)!r})]
os.environ["TVM_LIBRARY_PATH"] = {str(bundle / "lib" / "native")!r}
import tvm_rank
assert tvm_rank.__file__.startswith({str(bundle)!r}), tvm_rank.__file__
assert tvm_rank.check({str(built)!r}, rounds=1).ok
assert "libtvm_compiler" not in open("/proc/self/maps").read()
"""
    fresh_python(code)


def test_every_module_of_the_projects_part_can_be_imported_without_the_compiler(
    bundle: pathlib.Path, fresh_python: Callable[..., str]
):
    brought = sorted((bundle / "lib" / "common").rglob("*.py"))
    names = [".".join(path.relative_to(bundle / "lib" / "common").with_suffix("").parts) for path in brought]
    assert "tvm_rank.runtime.engine" in names
    assert "tvm_rank.compiler" not in names
    assert not any(name.startswith(("te_schedules", "relay_passes")) for name in names)
    ours = [
        name for name in names if name.startswith(("tvm_rank.runtime", "tvm_rank.artifact", "tvm_rank.host", "tvm_rank.config"))
    ]
    blocked = "import sys; sys.modules['tvm'] = sys.modules['onnx'] = sys.modules['te_schedules'] = None\n"
    fresh_python(blocked + "".join(f"import {name.removesuffix('.__init__')}\n" for name in ours))


def test_equal_files_are_packed_once_and_come_out_whole(bundling: SimpleNamespace, tmp_path: pathlib.Path):
    folder = tmp_path / "gpu-bundle"
    for name in ("a/tables.bin", "b/tables.bin"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(np.random.default_rng(0).bytes(100_000))
    bundling.make.link_equal_files(folder)
    assert bundling.make.packed(folder, tmp_path / "out.tar.xz") < 110_000
    with tarfile.open(tmp_path / "out.tar.xz") as archive:
        assert {entry.uid for entry in archive} == {0}
        archive.extractall(tmp_path / "there")
    for name in ("a/tables.bin", "b/tables.bin"):
        assert (tmp_path / "there" / "gpu-bundle" / name).read_bytes() == (folder / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpu-bundle", "out.tar.xz", "there"]
