"""The journal: whole after kill -9, torn last lines are cut off, damage and a second writer are refused."""

from __future__ import annotations

import json
import pathlib

import pytest
from fake_kernel import SESSION

from tvm_rank.errors import TuningError
from tvm_rank.tune.journal import Journal, read_journal
from tvm_rank.tune.records import Session, Trial

TRIAL = Trial(
    session=SESSION.key, task="k", choice={"a": 1}, kernel="f00", seconds=(0.5, 1.0), default_seconds=(1.0, 2.0), error="", at=3.5
)


def written(path: pathlib.Path, *records: Session | Trial) -> pathlib.Path:
    with Journal(path) as journal:
        for record in records:
            journal.append(record)
    return path


def test_what_was_appended_is_read_in_order(tmp_path: pathlib.Path):
    path = written(tmp_path / "db", SESSION, TRIAL)
    written(path, TRIAL)
    assert read_journal(path) == (SESSION, TRIAL, TRIAL)
    assert TRIAL.ratio == pytest.approx(0.5)


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_torn_last_line_is_left_out_and_cut_off_before_the_next_one(cut: int, tmp_path: pathlib.Path):
    path = written(tmp_path / "db", SESSION, TRIAL)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_journal(path) == (SESSION,)
    written(path, TRIAL)
    assert read_journal(path) == (SESSION, TRIAL)


def test_damage_before_the_end_is_refused_with_its_line(tmp_path: pathlib.Path):
    path = written(tmp_path / "db", SESSION, TRIAL)
    path.write_text("not json\n" + path.read_text())
    with pytest.raises(TuningError, match="db:1: no tuning database, or a damaged one"):
        read_journal(path)
    with pytest.raises(TuningError, match="tune into another file"):
        Journal(path)


@pytest.mark.parametrize("change", [{"at": "soon"}, {"kind": "song"}, {"more": 1}, {"seconds": None}], ids=str)
def test_records_of_another_form_are_refused(change: dict, tmp_path: pathlib.Path):
    path = written(tmp_path / "db", TRIAL)
    path.write_text(json.dumps(json.loads(path.read_text()) | change) + "\n")
    with pytest.raises(TuningError, match="db:1"):
        read_journal(path)


def test_two_processes_cannot_tune_into_one_file(tmp_path: pathlib.Path):
    with Journal(tmp_path / "db"), pytest.raises(TuningError, match="another process tunes into it"):
        Journal(tmp_path / "db")


def test_a_file_that_is_not_there_says_what_makes_it(tmp_path: pathlib.Path):
    with pytest.raises(TuningError, match="make it with `tvm-rank tune`"):
        read_journal(tmp_path / "db")
