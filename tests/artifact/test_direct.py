"""Requests that are ranked without the virtual machine: the same scores and refusals as with it, and the machine wherever it is needed."""

from __future__ import annotations

import pathlib

import numpy as np
import pyarrow as pa
import pytest
import small_model
from test_damaged_columns import damaged

import tvm_rank
from tvm_rank.errors import InputError
from tvm_rank.runtime import direct
from tvm_rank.runtime.direct import Direct, Output

N = small_model.ITEMS


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of items that were ranked without the machine, as they come."""
    found: list[int] = []
    run = Direct.run
    monkeypatch.setattr(Direct, "run", lambda self, rows: (found.append(rows.items), run(self, rows))[1])
    return found


@pytest.fixture
def with_machine(saved: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> tvm_rank.Engine:
    """An engine of a library that has only the functions of the machine, as earlier versions made them."""
    monkeypatch.setattr(direct, "FUNCTION", "no_such_function")
    return tvm_rank.load(saved)


def test_requests_after_the_first_of_a_schema_give_the_scores_of_the_machine(
    engine: tvm_rank.Engine, with_machine: tvm_rank.Engine, runs: list[int]
):
    for requests in (1, 3):
        user = pa.table(small_model.user(requests))
        for count in (N, 1, 7, 200, N):
            items = pa.table(small_model.items(count))
            given = {"user": user, "items": items, "item_request": np.arange(count) % requests if requests > 1 else None}
            assert np.array_equal(engine.rank(**given)["score"], with_machine.rank(**given)["score"])
    assert runs[-8:] == 2 * [1, 7, 200, N]


def test_another_schema_goes_through_the_machine_first(engine: tvm_rank.Engine, runs: list[int]):
    user = pa.table(small_model.user())
    texts, numbers = (pa.table(small_model.items() | {"level": pa.array(range(N), kind)}) for kind in (pa.int64(), pa.int32()))
    found = [engine.rank(user=user, items=items)["score"] for items in (texts, texts, numbers, numbers, texts)]
    assert runs == [N, N]
    assert all(np.array_equal(scores, found[0]) for scores in found)


def test_a_refused_request_says_the_same_and_the_next_one_is_ranked(engine: tvm_rank.Engine, runs: list[int]):
    user, items = pa.table(small_model.user()), small_model.items()
    good = pa.table(items | damaged("text-in-list", np.arange(2 * N + 1)))
    bad = pa.table(items | damaged("text-in-list", np.r_[np.arange(2 * N), 0]))
    noon = pa.table(small_model.user() | {"hour": pa.array(["noon"])})
    expected = [engine.rank(user=user, items=good)["score"] for _ in range(2)][1]
    with pytest.raises(InputError, match=r"its offsets lead outside of its buffers|items: the Arrow data is damaged"):
        engine.rank(user=user, items=bad)
    assert np.array_equal(engine.rank(user=user, items=good)["score"], expected)
    messages = []
    for _ in range(2):  # texts for hours are another schema
        with pytest.raises(InputError, match="feature 'hour', row 0: num_buckets wants integers") as refused:
            engine.rank(user=noon, items=good)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    assert len(runs) >= 3


def test_while_kernels_are_watched_the_machine_calls_them(engine: tvm_rank.Engine, runs: list[int]):
    user, items, seen = pa.table(small_model.user()), pa.table(small_model.items()), []
    expected = [engine.rank(user=user, items=items)["score"] for _ in range(2)][1]
    with engine.machines.watched(lambda _f, name, before, *_: seen.append(str(name)) or 0 if before else 0):
        assert np.array_equal(engine.rank(user=user, items=items)["score"], expected)
    assert "item_features" in seen
    before = len(runs)
    engine.rank(user=user, items=items)
    assert len(runs) == before + 1


def test_results_of_other_shapes_than_the_artifact_says_stay_with_the_machine(engine: tvm_rank.Engine):
    way = Direct(lambda _address: None, [], [Output(["N", 1], "float32"), Output(["3"], "int64")])
    rows = engine._row_map.rows(None, 1, 5)
    assert not way.prepare(None, (), rows, [], [np.zeros((5, 2), np.float32), np.zeros(3, np.int64)])
    assert not way.is_ready(())
