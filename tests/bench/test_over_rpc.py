"""`tvm-rank bench` on servers of a tracker: a tracker and servers on this machine, of which one is killed in the middle."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cases.rpc_servers import KEY, killed, known, servers_of, tracker_alone

import tvm_rank
from tvm_rank.bench.contest import Process
from tvm_rank.bench.over_rpc import Elsewhere, RemoteMachine
from tvm_rank.bench.peers.remote import Remote
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.bench.peers.serve import Refused, Server
from tvm_rank.bench.results import Results
from tvm_rank.cli.main import main
from tvm_rank.errors import BenchError, RpcError
from tvm_rank.runtime import matrix_unit
from tvm_rank.tracker import Tracker
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights
from tvm_rank.zoo.workload import Workload

TARGET, NAME = "x86-64-v3", f"tvm-rank x86-64-v3 fp32 on {KEY}"
FEATURES = [
    {"feature_name": "age", "feature_type": "raw_feature", "expression": "user:age"},
    {"feature_name": "shop", "feature_type": "id_feature", "expression": "item:shop", "hash_bucket_size": 5, "embedding_dim": 2},
]


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """A number of the user, a table of the items, one layer."""
    graph, rng = GraphWriter("tiny", {"age": (1,), "shop": (2,)}), np.random.default_rng(0)
    every = graph.node("Concat", "age", "shop", axis=1)
    shops = pa.array([None, "a", "bc", "", "def"] * 4)
    return Workload.write(
        model_name="tiny",
        folder=tmp_path_factory.mktemp("over_rpc") / "tiny",
        features={"features": FEATURES},
        model=graph.model(graph.dense(every, "out", dense_weights(rng, {"out": (3, 1)}))),
        tables={"shop": rng.normal(size=(5, 2)).astype(np.float32)},
        user=pa.table({"age": pa.array([0.5, 2.0], pa.float32())}),
        items=pa.table({"shop": shops, "request": pa.array(np.repeat([0, 1], 10), pa.int32())}),
    )


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    with tracker_alone() as found:
        yield found


@pytest.fixture(scope="module")
def server(tracker: Tracker) -> Iterator[subprocess.Popen]:
    """The first of two servers; a session takes it."""
    with servers_of(tracker, 1) as (process,):
        yield process


def arguments(workload: Workload, tracker: Tracker, *more: object) -> list[str]:
    """Of all runs."""
    short = ["--rounds", "3", "--seconds", "0.01", "--requests", "4", "--no-ceilings", "--quiet"]
    where = ["--tracker", f"{tracker.host}:{tracker.port}", "--key", tracker.key, "--folder", str(workload.folder.parent)]
    return ["bench", "--workloads", str(workload.folder), "--targets", TARGET, *short, *where, *map(str, more)]


@pytest.fixture(scope="module")
def measured(workload: Workload, tracker: Tracker, server: subprocess.Popen) -> pathlib.Path:
    """A run, as JSON; result.md lies beside it."""
    assert server.poll() is None
    path = workload.folder.parent / "result.json"
    more = ["--batch-sizes", "3,7", "--json", path, "--markdown", path.with_suffix(".md")]
    assert main(arguments(workload, tracker, *more)) == 0
    return path


def test_scores_are_checked_and_times_are_those_of_the_servers_clock(measured: pathlib.Path):
    results = Results.load(measured)
    assert [(one.name, one.items) for one in results.measurements] == [(NAME, 3), (NAME, 7)]
    for one in results.measurements:
        assert one.difference < 1e-6
        assert len(one.rounds_us) == 3
        assert 0 < one.p50_us <= one.p90_us <= one.p99_us
        assert one.core_ms > 0
        assert one.requests_per_s * one.p50_us < 1.5e6  # nothing but requests counts
        assert "on a server of the key tests (" in one.about
        assert one.kernels == ()


def test_the_document_has_the_command_and_the_words(measured: pathlib.Path, tracker: Tracker):
    text = measured.with_suffix(".md").read_text(encoding="utf-8")
    assert f"--tracker {tracker.host}:{tracker.port} --key {KEY}" in text
    assert f"| {NAME} |" in text
    assert "its kernels and ceilings are not measured one by one" in text


def test_results_of_before_have_no_servers(measured: pathlib.Path, tmp_path: pathlib.Path):
    old = json.loads(measured.read_text())
    for one in old["measurements"]:
        del one["machine"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert {one.name for one in Results.load(tmp_path / "old.json").measurements} >= {"tvm-rank x86-64-v3 fp32"}


@pytest.mark.usefixtures("measured")
def test_a_contestant_whose_servers_died_is_named_and_the_others_go_on(
    workload: Workload, tracker: Tracker, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    real = Process.ask

    def ask(process: Process, **asked: Any) -> Mapping[str, Any]:
        if asked["do"] == "round" and asked["items"] == 7 and asked["model"]:
            raise BenchError("servers tests: they are gone")
        return real(process, **asked)

    monkeypatch.setattr(Process, "ask", ask)
    path = tmp_path / "result.json"
    assert main(arguments(workload, tracker, "--against", "onnxruntime", "--batch-sizes", "3,7,8", "--json", path)) == 0
    results = Results.load(path)
    here = "onnxruntime, model only"
    assert [(one.name, one.items) for one in results.measurements] == [(NAME, 3), (here, 3), (here, 7), (here, 8)]
    left_out = results.not_run[-1]
    assert (left_out.contestant, left_out.why) == (NAME, "7 items, 1 thread, and what would have followed: they are gone")


@pytest.mark.usefixtures("measured")
def test_a_server_of_another_kind_is_refused(tracker: Tracker, tmp_path: pathlib.Path, workload: Workload):
    session = tracker.session(60)
    (tmp_path / "other.so").write_bytes(b"\x7fELF no code of this machine")
    with pytest.raises(
        Elsewhere, match=r"box: cannot load code for aarch64 \(.*; give the key of servers that are aarch64 machines"
    ):
        RemoteMachine(session, tmp_path / "other.so", "aarch64", "box")
    (probe,) = workload.folder.parent.glob("artifacts/*/probe-*.so")
    machine = RemoteMachine(session, probe, "x86_64", "box")
    with pytest.raises(Elsewhere, match=r"box: its CPU lacks no_such_flag; give a smaller target"):
        machine.check(["avx2", "no_such_flag"])
    assert machine.text("/no/such/file") == ""
    assert machine.gives_tiles() == (matrix_unit.refused(frozenset({"amx_tile"})) == "")


@pytest.mark.usefixtures("measured")
def test_a_server_that_dies_in_the_middle_is_replaced_and_the_row_says_so(
    workload: Workload, tracker: Tracker, server: subprocess.Popen, monkeypatch: pytest.MonkeyPatch
):
    for name, value in (("FREE_S", 1.0), ("AWAY_S", 1.0)):
        monkeypatch.setattr(f"tvm_rank.tracker.{name}", value)
    folder = next((workload.folder.parent / "artifacts" / "tiny").glob(f"{TARGET}-*-turns"))
    probe = next(folder.parent.glob("probe-*.so"))
    remote = Server(Remote())
    given = {"artifact": str(folder), "probe": str(probe), "folder": str(workload.folder), "requests": 2, "threads": 1}
    remote.answer({"do": "open", "model": "m", "tracker": f"{tracker.host}:{tracker.port}", "key": KEY, **given})
    with pytest.raises(RpcError, match=r"was free for 1 s: others use all 1; wait for them, or start another one with"):
        tracker.session(60)
    asked = {"model": "m", "items": 5, "part": "all", "seconds": 0.01}
    before = remote.answer({"do": "scores", "requests": 2, **asked})
    assert remote.answer({"do": "round", **asked})["note"] == ""
    with servers_of(tracker, 2) as others:
        killed(others[1])
        killed(server)
        found = remote.answer({"do": "round", **asked})
        assert found["note"] == "1 server of this key died in the middle"
        assert min(found["times_us"]) > 0
        assert remote.answer({"do": "scores", "requests": 2, **asked}) == before
        killed(others[0])
        while known(tracker):
            pass
        with pytest.raises(Refused, match=r"no server with the key 'tests' .* \(2 servers of this key died in the middle\)"):
            remote.answer({"do": "round", **asked})
    engine = tvm_rank.load(folder, threads=1)
    for (user, items), scores in zip(read_requests(str(workload.folder), 2, 5), before["scores"], strict=True):
        for name, values in engine.rank(user=user, items=items).items():
            np.testing.assert_array_equal(np.array(scores[name], np.float32), values)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--tracker", "127.0.0.1:9"], 2, "--tracker and --key go together"),
        (
            ["--tracker", "127.0.0.1:9", "--key", "k", "--targets", "cpu"],
            1,
            "'cpu' is measured here; name the target of the servers",
        ),
        (["--tracker", "127.0.0.1:9", "--key", "k", "--targets", TARGET], 1, "no tracker answers at 127.0.0.1:9"),
        (["--tracker", "box", "--key", "k", "--targets", TARGET], 1, "tracker 'box': give host:port"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(options: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "--quiet", *options]) == status
    assert message in capsys.readouterr().err
