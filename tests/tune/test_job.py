"""The loop: it improves, judges, resumes after kill -9 without losing or repeating a trial, and fails when it measured nothing."""

from __future__ import annotations

import pathlib
import time
from collections import Counter

import pytest
from fake_kernel import BEST, SESSION, Formula, Kernel, prepared, tuned
from killed import assert_nothing_lost_or_repeated, killed_after, trials_of

from tvm_rank.errors import TuningError
from tvm_rank.tune.job import Job, Limits
from tvm_rank.tune.journal import Journal

PROGRAM = "import pathlib, sys; from fake_kernel import tuned; tuned(pathlib.Path(sys.argv[1]), 60, pause=0.05)"


def test_the_best_choice_is_judged_and_kept(tmp_path: pathlib.Path):
    job = tuned(tmp_path / "db", 60)
    (state,) = job.states
    assert state.verdict is not None
    assert state.verdict.tuned
    assert BEST.items() <= state.verdict.choice.items()
    assert job.gain == pytest.approx(1 - 1 / 8)
    assert {trial.error for trial in state.trials} == {"", "terminated", "no such kernel: too deep"}


def test_what_takes_long_gets_the_trials(tmp_path: pathlib.Path):
    class Slow(Formula):
        def measure(self, one, built, effort):
            timed = super().measure(one, built, effort)
            factor = 9 if one.task.name == "slow" else 1
            return type(timed)(
                seconds=tuple(factor * s for s in timed.seconds),
                default_seconds=tuple(factor * s for s in timed.default_seconds),
                error=timed.error,
            )

    with Journal(tmp_path / "db") as journal:
        job = Job(SESSION, journal, Limits(trials=80), 0, lambda _what: None)
        job.run(Slow(), prepared("quick", "slow"))  # type: ignore[arg-type]
    quick, slow = job.states
    assert slow.share == pytest.approx(0.9)
    assert len(slow.trials) > 2 * len(quick.trials)


def test_kill_9_and_resume_lose_and_repeat_nothing(tmp_path: pathlib.Path):
    path = tmp_path / "db"
    before = killed_after(5, PROGRAM, path)
    assert 5 <= len(before) < 60
    tuned(path, 60)
    after = trials_of(path)
    assert_nothing_lost_or_repeated(before, after, 60)
    assert [trial.at for trial in after] == sorted(trial.at for trial in after)


def test_a_finished_tuning_goes_on_with_more_trials_only(tmp_path: pathlib.Path):
    first = tuned(tmp_path / "db", 20)
    again = tuned(tmp_path / "db", 20)
    assert again.states[0].trials == first.states[0].trials
    assert tuned(tmp_path / "db", 36).measured == 36


def test_trials_of_other_conditions_are_made_again(tmp_path: pathlib.Path):
    tuned(tmp_path / "db", 10)
    other = type(SESSION)(**{**vars(SESSION), "threads": 2})
    assert len(trials_of(tmp_path / "db")) == 10
    tuned(tmp_path / "db", 10, session=other)
    assert Counter(trial.session for trial in trials_of(tmp_path / "db")) == {SESSION.key: 10, other.key: 10}


def test_a_run_that_measured_nothing_fails(tmp_path: pathlib.Path):
    class Crashing(Formula):
        def measure(self, one, built, effort):
            if built.candidate.choice == Kernel().default:
                return super().measure(one, built, effort)
            return type(super().measure(one, built, effort))(error="terminated")

    with Journal(tmp_path / "db") as journal:
        job = Job(SESSION, journal, Limits(trials=10), 0, lambda _what: None)
        with pytest.raises(TuningError, match="nothing was measured: all 10 trials failed, 10 of them with: terminated"):
            job.run(Crashing(), prepared())  # type: ignore[arg-type]


def test_gains_within_the_noise_keep_the_default(tmp_path: pathlib.Path):
    class Noisy(Formula):
        def measure(self, one, built, effort):
            timed = super().measure(one, built, effort)
            if built.candidate.choice != one.task.default:
                return timed
            return type(timed)(seconds=tuple(s * 20 for s in timed.default_seconds), default_seconds=timed.default_seconds)

    with Journal(tmp_path / "db") as journal:
        job = Job(SESSION, journal, Limits(trials=30), 0, lambda _what: None)
        job.run(Noisy(), prepared())  # type: ignore[arg-type]
    verdict = job.states[0].verdict
    assert verdict is not None
    assert not verdict.tuned
    assert verdict.choice == Kernel().default
    assert job.gain == 0


def test_a_time_budget_ends_the_search(tmp_path: pathlib.Path):
    started = time.perf_counter()
    with Journal(tmp_path / "db") as journal:
        job = Job(SESSION, journal, Limits(seconds=1.0), 0, lambda _what: None)
        job.run(Formula(0.05), prepared())  # type: ignore[arg-type]
    assert 5 < job.measured < 40
    assert time.perf_counter() - started < 5
