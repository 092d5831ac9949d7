"""bench_split and check_schedules on small models."""

from __future__ import annotations

import itertools
import sys

import pytest
from test_scripts import script

from tvm_rank.schedule import PASSES


def test_the_gain_of_splitting_is_told_behind_a_check_of_the_scores(monkeypatch: pytest.MonkeyPatch, capsys):
    bench = script("bench_split")
    for name, value in {"USER": 8, "ITEM": 4, "HIDDEN": (8, 4), "WARM_UP": 1}.items():
        monkeypatch.setattr(bench, name, value)
    monkeypatch.setattr(sys, "argv", ["bench_split.py", "--items", "5", "--rounds", "3"])
    assert bench.main() == 0
    said = capsys.readouterr().out
    assert "realized: " in said
    assert "saved: " in said
    monkeypatch.setattr(bench, "scores", lambda *_given: 7.0)
    assert bench.main() == 1
    assert "FAILED: a score differs" in capsys.readouterr().err


def test_schedules_are_checked_one_by_one(monkeypatch: pytest.MonkeyPatch, capsys):
    check = script("check_schedules")
    assert len(list(check.combinations("passes", {}))) == 2 ** len(PASSES)
    assert len({name for name, _ in check.combinations("knobs", {})}) > 40
    stores = [name for name, _ in check.combinations("store", {"text": None, "int64": None})]
    assert len(stores) == 2 * 2 * len(check.CHOICES)
    whole = check.combinations
    monkeypatch.setattr(check, "combinations", lambda *given: itertools.islice(whole(*given), 1, 2))
    monkeypatch.setattr(sys, "argv", ["check_schedules.py", "--models", "lr", "--parts", "store"])
    assert check.main() == 0
    assert "1 combinations, 0 wrong" in capsys.readouterr().out
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    assert check.main() == 1
