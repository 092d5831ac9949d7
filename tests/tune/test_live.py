"""Feature kernels are tuned within requests: measured on what requests bring there, killed and resumed, and checked in the whole model."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import shutil
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import tvm
from killed import assert_nothing_lost_or_repeated, killed_after, trials_of
from tvm.s_tir.meta_schedule.builder import BuilderResult

import tvm_rank
from te_schedules.column_group.kernel import Knobs
from tvm_rank.cli.main import main
from tvm_rank.cli.requests import read_requests
from tvm_rank.runtime.held import HeldCall, alternated
from tvm_rank.schedule import Schedule
from tvm_rank.tune.calls import ARGUMENTS, Kernel
from tvm_rank.tune.database import TuningDatabase
from tvm_rank.tune.job import Job, Limits
from tvm_rank.tune.journal import Journal, read_journal
from tvm_rank.tune.live import LiveCall
from tvm_rank.tune.model import Model
from tvm_rank.tune.records import Check, Session, Trial, Verdict
from tvm_rank.tune.requests import COUNT, RequestData
from tvm_rank.tune.run import ARTIFACT, TUNED, _confirm, tune
from tvm_rank.tune.whole import SCORE_TOLERANCE, Compared, confirmed
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights

ROWS, TRIALS = (3, 40), 2
REQUESTS = tvm_rank.Samples(
    user={"age": pa.array([0.5, 2.0], pa.float32())},
    items={"price": pa.array(np.linspace(-1, 1, 20), pa.float32())},
    item_request=np.repeat([1, 0], 10),
)


def inputs() -> dict:
    """A model whose kernels are built in a second."""
    features = [
        {"feature_name": "age", "feature_type": "raw_feature", "expression": "user:age"},
        {"feature_name": "price", "feature_type": "raw_feature", "expression": "item:price"},
    ]
    graph = GraphWriter("tiny", {"age": (1,), "price": (1,)})
    weights = dense_weights(np.random.default_rng(0), {"out": (2, 1)})
    every = graph.node("Concat", "age", "price", axis=1)
    return {"features": {"features": features}, "model": graph.model(graph.dense(every, "out", weights))}


PROGRAM = "import sys; from test_live import inputs, tuned; tuned(inputs(), *sys.argv[1:])"


class Here:
    """MetaSchedule's builder without its processes, whose start takes longer than what they build."""

    def __init__(self, *, f_build: Callable, f_export: Callable, **_limits: float):
        self.made = lambda given: f_export(f_build(given.mod, given.target, None))

    def build(self, inputs: Sequence) -> list[BuilderResult]:
        return [BuilderResult(self.made(given), None) for given in inputs]


def tuned(model: object, path: str, key: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tvm.s_tir.meta_schedule.builder.LocalBuilder", Here)
        tune(model, path, trials=TRIALS, batch_sizes=ROWS, threads=1, kernels=[key], requests=REQUESTS)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.of(inputs())


@pytest.fixture(scope="module")
def folder(model: Model, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    assert model.artifact is not None
    path = tmp_path_factory.mktemp("live") / "artifact"
    model.artifact.save(path)
    return path


@pytest.fixture(scope="module")
def key(model: Model) -> str:
    (entry,) = [kernel for kernel in model.manifest.kernels if kernel["name"] == "item_features"]
    return str(entry["key"])


def data() -> RequestData:
    return RequestData.of(REQUESTS)


# ---------------------------------------------------------------- requests


def test_a_request_has_its_own_items_first_and_then_those_of_the_next():
    requests = data().requests(15)
    assert len(requests) == COUNT
    price = np.linspace(-1, 1, 20).astype(np.float32)
    assert requests[0]["user"]["age"].to_pylist() == [0.5]  # its items stand behind those of the other one
    assert requests[0]["items"]["price"].to_pylist() == [*price[10:], *price[:5]]
    assert requests[1]["user"]["age"].to_pylist() == [2.0]
    assert requests[1]["items"]["price"].to_pylist() == list(price[:15])
    assert requests[2]["items"]["price"].to_pylist() != requests[0]["items"]["price"].to_pylist()


def test_requests_are_read_from_a_folder_or_a_file_of_items(tmp_path: pathlib.Path):
    items = pa.table({"price": [1.0, 2.0], "request": [0, 0]})
    for name, table in (("items", items), ("user", pa.table({"age": [3.0]}))):
        with pa.OSFile(str(tmp_path / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    whole, alone = read_requests(tmp_path), read_requests(tmp_path / "items.arrow")
    assert whole.user["age"].to_pylist() == [3.0]
    assert alone.user is None
    assert alone.items.column_names == ["price"]
    (tmp_path / "items.csv").write_text("price\n1\n")
    with pytest.raises(tvm_rank.InputError, match=r"wanted one file items.*it has user.arrow, items.arrow, items.csv"):
        read_requests(tmp_path)


def test_without_requests_those_of_the_artifact_are_taken_and_named(model: Model):
    assert model.requests(None).source.startswith("generated from the configuration")
    assert data().source.startswith("given, 2 requests, 20 items")
    other = dataclasses.replace(REQUESTS, user={"age": pa.array([0.5, 3.0], pa.float32())})
    assert RequestData.of(other).source != data().source


# ---------------------------------------------------------------- measuring


@pytest.fixture(scope="module")
def call(model: Model, folder: pathlib.Path, key: str, tmp_path_factory: pytest.TempPathFactory) -> LiveCall:
    """The item kernel, in front of which requests wait."""
    task = next(one for one in model.live_tasks(folder, data(), 1) if one.name == key)
    path = tmp_path_factory.mktemp("calls") / "call"
    path.mkdir()
    task.record(path, ROWS[1])
    np.save(path / "ints_recomputed.npy", np.load(path / "ints_recomputed.npy") + 1)  # to be told from the other ones
    return LiveCall(str(path), json.loads((path / ARGUMENTS).read_text()))


def test_each_request_waits_with_arguments_of_its_own_and_each_form_has_its_constants(call: LiveCall):
    cached, recomputed = (call.tensors(tvm.cpu(), [[form]]) for form in range(2))
    assert len(cached) == COUNT
    assert len({np.from_dlpack(one[0]).ctypes.data for one in cached}) == COUNT
    ints = [np.from_dlpack(tensors[0][1]) for tensors in (cached, recomputed)]
    np.testing.assert_array_equal(ints[1], ints[0] + 1)
    assert np.isnan(cached[0][-2].numpy()).all()
    assert cached[0][-2].shape == (ROWS[1], 1)


def test_a_candidate_that_gives_something_else_is_refused(call: LiveCall):
    def giving(value: float) -> Kernel:
        return Kernel({"kernel": lambda *tensors: [t.copyfrom(np.full(t.shape, value, t.dtype)) for t in tensors[-2:]]}, [[0]])

    once = SimpleNamespace(repeat=1)
    silent = Kernel({"kernel": lambda *_: None}, [[0]])
    for other, problem in ((giving(1.5), "output 0 differs from the default kernel's by 0.5"), (silent, "output 0 differs")):
        with pytest.raises(ValueError, match=problem):
            call.seconds(other, giving(1.0), tvm.cpu(), once)
    same = call.seconds(giving(1.0), giving(1.0), tvm.cpu(), once)
    assert len(same) == 2


def test_both_kernels_see_each_request_and_never_one_behind_the_other():
    seen: list[tuple[str, int]] = []
    sides = [(lambda number, name=name: seen.append((name, number)), [(k,) for k in range(COUNT)]) for name in ("new", "old")]
    alternated(*sides, rounds=1)
    for first in range(0, len(seen), 2 * COUNT):
        of_round = seen[first : first + 2 * COUNT]
        assert sorted(of_round) == sorted((name, k) for name in ("new", "old") for k in range(COUNT))
        assert all(one[1] != other[1] for one, other in itertools.pairwise(of_round))


def test_a_request_that_does_not_call_the_kernel_is_an_error(folder: pathlib.Path):
    engine = tvm_rank.load(folder)
    with pytest.raises(tvm_rank.RankError, match="does not call nothing: it ended before"):
        HeldCall(engine, "nothing", data().request(0, 3))
    held = HeldCall(engine, "item_features", data().request(0, 3))
    held.release()
    assert len(next(iter(engine.rank(**data().request(0, 3)).values()))) == 3


# ---------------------------------------------------------------- tuning


@pytest.fixture(scope="module")
def database(model: Model, key: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, list[Trial]]:
    """A database whose tuning was killed while it measured the item kernel, and finished by a second run; the trials before."""
    path = tmp_path_factory.mktemp("killed") / "db"
    before = killed_after(1, PROGRAM, path, key, TMPDIR=str(path.parent))
    assert list(path.parent.glob("tvm-rank-tune-*")) != []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tempfile.tempdir", str(path.parent))
        tuned(model.artifact, str(path), key)
    return path, before


def test_kill_9_while_features_are_measured_loses_and_repeats_no_trial(database: tuple[pathlib.Path, list[Trial]], key: str):
    path, before = database
    after = trials_of(path)
    assert_nothing_lost_or_repeated(before, after, TRIALS)
    assert {(trial.task, trial.error) for trial in after} == {(key, "")}


def test_what_a_killed_tuning_left_behind_is_removed(database: tuple[pathlib.Path, list[Trial]]):
    assert list(database[0].parent.glob("tvm-rank-tune-*")) == []


def test_the_conditions_say_with_which_requests(database: tuple[pathlib.Path, list[Trial]]):
    assert {record.requests for record in read_journal(database[0]) if isinstance(record, Session)} == {data().source}


def judged(database: pathlib.Path, path: pathlib.Path, key: str) -> TuningDatabase:
    """A copy of the database with a verdict for other knobs, and a check of the whole model."""
    choice = {**dataclasses.asdict(Knobs()), "block_rows": 16, "intermediates": "recomputed"}
    records = [record for record in read_journal(database) if not isinstance(record, Verdict | Check)]
    (session,) = {record.key for record in records if isinstance(record, Session)}
    times = {"seconds": (1e-6, 1e-5), "default_seconds": (2e-6, 2e-5)}
    records.append(Verdict(session=session, task=key, choice=choice, tuned=True, noise=0.01, **times))
    figures = {"default_seconds": (1e-4, 1e-3), "ratios": (0.9, 0.95), "least": (0.88, 0.9), "largest": (0.91, 1.0)}
    records.append(Check(session=session, kernels=(key,), dropped=("dense_1x1_none",), difference=2e-7, **figures))
    with Journal(path) as journal:
        for record in records:
            journal.append(record)
    return TuningDatabase.load(path)


def test_the_model_is_compiled_with_what_was_learned_and_checked(
    database: tuple[pathlib.Path, list[Trial]],
    model: Model,
    key: str,
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in (("LOAD_S", 0.01), ("LOADS", 1), ("MOST_LOADS", 2)):
        monkeypatch.setattr(f"tvm_rank.tune.whole.{name}", value)
    judged(database[0], tmp_path / "db", key)
    shutil.copytree(folder, tmp_path / ARTIFACT)
    with Journal(tmp_path / "db") as journal:
        (session,) = {record for record in journal.records if isinstance(record, Session)}
        job = Job(session, journal, Limits(trials=1), 0, lambda _what: None)
        _confirm(job, model, tmp_path, data())
    found = read_journal(tmp_path / "db")[-1]
    assert isinstance(found, Check)
    assert {*found.kernels, *found.dropped} == {key}
    assert found.difference <= SCORE_TOLERANCE
    schedule = tvm_rank.load(tmp_path / TUNED).manifest.schedule
    assert (schedule["kernels"][key]["block_rows"], schedule["features"]["block_rows"]) == (16, 64)
    again, _words = TuningDatabase.load(tmp_path / "db").schedule(session.target)
    assert set(again.kernels) == set(found.kernels)


def test_show_and_report_say_what_the_whole_model_gained(
    database: tuple[pathlib.Path, list[Trial]], key: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    judged(database[0], tmp_path / "db", key)
    assert main(["tune", "--show", str(tmp_path / "db"), "--report", str(tmp_path / "report.html")]) == 0
    text = capsys.readouterr().out
    assert f"{key}: block_rows 64 -> 16, intermediates cached -> recomputed" in text
    assert "requests: given, 2 requests" in text
    assert "dropped, since the whole model was slower or had other scores with it: dense_1x1_none" in text
    assert "+10.0%" in text
    assert "faster at every batch size, slower at none; scores differ by 2.0e-07 at most" in text
    page = (tmp_path / "report.html").read_text()
    assert "The whole model" in page
    assert "+5.0%" in page


# ---------------------------------------------------------------- the check of the whole model


def outcome(ratio: float, difference: float = 0.0) -> Compared:
    return Compared(default_seconds=(1.0,), ratios=(ratio,), least=(ratio - 0.02,), largest=(ratio + 0.02,), difference=difference)


@pytest.mark.parametrize(
    ("of_kernels", "kept", "dropped"),
    [
        ({"a+b": 0.9}, ("a", "b"), ()),
        ({"a+b": 1.1, "a": 0.9, "b": 1.1}, ("a",), ("b",)),
        ({"a+b": 1.1, "a": 1.1, "b": 1.1}, (), ("a", "b")),
        ({"a+b": 1.1, "a": 0.9, "b": 0.9}, (), ("a", "b")),
        ({"a+b": 1.005}, ("a", "b"), ()),
    ],
    ids=str,
)
def test_what_makes_the_whole_model_slower_is_dropped(
    of_kernels: dict[str, float], kept: tuple[str, ...], dropped: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tvm_rank.compiler.compile", lambda tuning: "+".join(sorted(tuning.kernels)))
    found = confirmed({}, Schedule(), {"a": Knobs(), "b": Knobs()}, lambda artifact: outcome(of_kernels[str(artifact)]))
    assert (found.kept, found.dropped) == (kept, dropped)
    assert (found.compared is None) == (not kept)


@pytest.mark.parametrize(
    ("ratio", "least", "is_slower", "is_clear"),
    [(0.9, 0.8, False, True), (1.005, 0.9, False, True), (1.05, 0.9, True, False), (1.05, 1.01, True, True)],
)
def test_the_model_is_loaded_again_until_it_is_clear_whether_it_is_slower(
    ratio: float, least: float, is_slower: bool, is_clear: bool
):
    found = Compared(default_seconds=(1.0,), ratios=(ratio,), least=(least,), largest=(1.2,), difference=0.0)
    assert (found.is_slower, found.is_clear) == (is_slower, is_clear)


def test_other_scores_are_never_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tvm_rank.compiler.compile", lambda tuning: tuning)
    found = confirmed({}, Schedule(), {"a": Knobs()}, lambda _artifact: outcome(0.5, difference=1e-5))
    assert (found.kept, found.dropped) == ((), ("a",))


def test_an_artifact_alone_has_dense_layers_to_tune_and_says_why(folder: pathlib.Path, key: str, tmp_path: pathlib.Path):
    with pytest.raises(tvm_rank.TuningError, match=r"no kernels item_features.*; feature kernels.*give --features and --model"):
        tune(folder, tmp_path / "db", trials=1, kernels=[key])
