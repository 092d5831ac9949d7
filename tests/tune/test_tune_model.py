"""A small model is tuned from its artifact, and compiled with what was learned."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re

import numpy as np
import pyarrow as pa
import pytest

import tvm_rank
from te_schedules.dense import DenseTiles
from tvm_rank.cli.main import main
from tvm_rank.tune.database import TuningDatabase
from tvm_rank.tune.journal import Journal, read_journal
from tvm_rank.tune.records import Session, TaskRecord, Trial, Verdict
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights

FEATURES = {
    "features": [
        {"feature_name": "age", "feature_type": "raw_feature", "expression": "user:age"},
        {"feature_name": "price", "feature_type": "raw_feature", "expression": "item:price"},
    ]
}
KERNEL = "dense_1x40_relu_rows"
ITEMS = {"price": pa.array(np.linspace(-1, 1, 50), pa.float32())}


def model():
    graph = GraphWriter("tiny", {"age": (1,), "price": (1,)})
    weights = dense_weights(np.random.default_rng(0), {"hidden": (2, 40), "out": (40, 1)})
    hidden = graph.dense(graph.node("Concat", "age", "price", axis=1), "hidden", weights, "Relu")
    return graph.model(graph.dense(hidden, "out", weights))


def compiled(tuning: object = None) -> tvm_rank.Artifact:
    return tvm_rank.compile(features=FEATURES, model=model(), tuning=tuning)


def scores(artifact: tvm_rank.Artifact, folder: pathlib.Path) -> np.ndarray:
    artifact.save(folder)
    (score,) = tvm_rank.load(folder).rank(user={"age": pa.array([0.5], pa.float32())}, items=ITEMS).values()
    return score


@pytest.fixture(scope="module")
def plain() -> tvm_rank.Artifact:
    return compiled()


@pytest.fixture(scope="module")
def database(plain: tvm_rank.Artifact, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The database of a short tuning by the command line."""
    folder = tmp_path_factory.mktemp("tuned")
    plain.save(folder / "artifact")
    arguments = ["--trials", "3", "--batch-sizes", "4,16", "--threads", "1", "--kernels", KERNEL]
    assert main(["tune", str(folder / "artifact"), *arguments, "--out", str(folder / "db"), "--quiet"]) == 0
    return folder / "db"


def judged(database: pathlib.Path, path: pathlib.Path, session: dict, **choice: int) -> pathlib.Path:
    """A copy of the database whose last verdict chose other knobs, under other conditions."""
    *records, verdict = read_journal(database)
    assert isinstance(verdict, Verdict)
    given = dataclasses.replace(next(r for r in records if isinstance(r, Session)), **session)
    kept = dataclasses.replace(verdict, tuned=True, choice={**verdict.choice, **choice})
    with Journal(path) as journal:
        for record in [given, *(r for r in [*records, kept] if not isinstance(r, Session))]:
            journal.append(record if isinstance(record, Session) else dataclasses.replace(record, session=given.key))
    return path


def tiles(artifact: tvm_rank.Artifact, name: str = KERNEL) -> DenseTiles:
    (kernel,) = [kernel for kernel in artifact.manifest.kernels if kernel["name"] == name]
    return DenseTiles(**kernel["layer"]["tiles"])


def test_a_tuning_measures_each_trial_at_each_batch_size(database: pathlib.Path):
    records = read_journal(database)
    (task,) = [record for record in records if isinstance(record, TaskRecord)]
    assert (task.name, task.operator, task.share) == (KERNEL, "rank.dense", 1.0)
    trials = [record for record in records if isinstance(record, Trial)]
    assert len({trial.kernel for trial in trials}) == 3
    assert all(len(trial.seconds) == len(trial.default_seconds) == 2 for trial in trials if not trial.error)
    assert isinstance(records[-1], Verdict)


def test_compile_uses_what_was_learned_and_scores_stay(database: pathlib.Path, plain: tvm_rank.Artifact, tmp_path: pathlib.Path):
    tuned = compiled(judged(database, tmp_path / "db", {}, vectors=1, unroll=1))
    assert (tiles(tuned).vectors, tiles(tuned).unroll) == (1, 1)
    assert tiles(tuned, "dense_40x1_sigmoid") == tiles(plain, "dense_40x1_sigmoid")
    np.testing.assert_allclose(scores(tuned, tmp_path / "tuned"), scores(plain, tmp_path / "plain"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("session", [{"target": "other"}, {"version": "0.0.0"}, {"tvm_version": "0.0"}], ids=str)
def test_records_of_another_target_or_version_are_refused(session: dict, database: pathlib.Path, tmp_path: pathlib.Path):
    stale = judged(database, tmp_path / "db", session)
    with pytest.raises(tvm_rank.TuningError, match=f"nothing in it is for .*made for .*{next(iter(session.values()))}"):
        compiled(stale)


def test_stale_records_beside_fresh_ones_are_ignored_with_a_word(
    database: pathlib.Path, plain: tvm_rank.Artifact, tmp_path: pathlib.Path
):
    judged(database, tmp_path / "db", {"version": "0.0.0"}, vectors=1)
    changed = judged(database, tmp_path / "db", {}, vectors=1, unroll=8)
    schedule, (word,) = TuningDatabase.load(changed).schedule(plain.manifest.tvm_target)
    assert word == "1 of 2 sessions are ignored: made for tvm-rank 0.0.0"
    assert (schedule.kernels[KERNEL].vectors, schedule.kernels[KERNEL].unroll) == (1, 8)


def test_records_of_other_knobs_are_ignored_with_a_word(database: pathlib.Path, plain: tvm_rank.Artifact, tmp_path: pathlib.Path):
    changed = judged(database, tmp_path / "db", {}, swing=1)
    schedule, (word,) = TuningDatabase.load(changed).schedule(plain.manifest.tvm_target)
    assert word.startswith(f"{KERNEL}: its record is of other knobs")
    assert "swing" in word
    assert KERNEL not in schedule.kernels


def test_show_lists_what_was_learned(database: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    assert main(["tune", "--show", str(judged(database, tmp_path / "db", {}, vectors=1))]) == 0
    text = capsys.readouterr().out
    assert "at 4, 16 items" in text
    assert re.search(rf"{KERNEL}: .*vectors \d -> 1", text)


def test_the_report_is_one_page_with_plots_and_the_same_figures_as_json(database: pathlib.Path, tmp_path: pathlib.Path):
    for name in ("report.html", "report.json"):
        assert main(["tune", "--show", str(database), "--report", str(tmp_path / name)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 2
    assert f"{KERNEL}: the best time so far" in page
    assert "src=" not in page
    assert "href=" not in page
    (session,) = json.loads((tmp_path / "report.json").read_text())["sessions"]
    (kernel,) = session["kernels"]
    assert (kernel["name"], kernel["trials"], len(kernel["best_ratios"])) == (KERNEL, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out"),
        (["--out", "db"], "give an ARTIFACT, or --features and --model"),
        (["--show", "db", "--out", "db"], "--show goes alone"),
        (["a", "--out", "db", "--batch-sizes", "0"], "at least 1"),
        (["a", "--out", "db", "--time-budget", "never"], "no time"),
    ],
)
def test_wrong_usage_says_what_is_wanted(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["tune", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_kernel_that_the_model_does_not_have_is_refused(plain: tvm_rank.Artifact, tmp_path: pathlib.Path):
    from tvm_rank.tune.run import tune

    with pytest.raises(tvm_rank.TuningError, match=f"no kernels dense_9x9 to tune; there are dense_1x40_none, {KERNEL}"):
        tune(plain, tmp_path / "db", trials=1, kernels=["dense_9x9"])
