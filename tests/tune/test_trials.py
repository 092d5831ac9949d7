"""Proposals: new, inside of the space, the same for the same measurements, and better than chance."""

from __future__ import annotations

import math
import random

import pytest
from fake_kernel import BEST, Kernel, seconds_of

from tvm_rank.tune import search as module
from tvm_rank.tune.search import Measured, Search, identity

TASK = Kernel()


def searched(trials: int, seed: int = 0) -> list[Measured]:
    """What is measured when the search is asked for eight at a time."""
    search, measured = Search(TASK.space, TASK.default, seed), list[Measured]()
    while len(measured) < trials:
        known = {identity(one.choice) for one in measured} | {identity(TASK.default)}
        found = search.propose(measured, known, 8)
        assert known.isdisjoint(map(identity, found))
        for choice in found:
            assert choice["fixed"] == 3
            assert all(choice[name] in values for name, values in TASK.space.items())
            failed = choice["ahead"] == 64
            measured.append(Measured(choice, math.inf if failed else seconds_of(choice) / seconds_of(TASK.default)))
        if not found:
            break
    return measured


def test_the_best_choice_is_found_in_a_third_of_the_space():
    assert any(BEST.items() <= one.choice.items() for one in searched(40))


def test_the_same_measurements_give_the_same_proposals():
    assert searched(32) == searched(32)
    assert searched(32) != searched(32, seed=1)


def test_the_search_ends_when_the_space_is_used_up():
    found = searched(1000)
    assert len({identity(one.choice) for one in found}) == len(found)
    assert Search(TASK.space, TASK.default, 0).size == 120
    assert len(found) > 100


def test_changes_of_the_best_are_tried_without_a_model_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module._Model, "of", lambda *_: None)
    best = min(one.ratio for one in searched(48))
    rng = random.Random(0)
    chance = [min(rng.choice(searched(16)).ratio for _ in range(4)) for _ in range(3)]
    assert best <= min(chance)
