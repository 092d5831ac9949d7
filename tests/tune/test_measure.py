"""Candidates in processes of their own: one that is wrong, crashes or hangs costs itself alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from doubled import EFFORT, ROWS, Doubled

from tvm_rank.target import resolve
from tvm_rank.tune.measure import Built, Measurer, Timed, candidate


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Timed]]:
    """mode -> its measurement, in an order in which right ones come behind the others."""
    task = Doubled()
    with Measurer(resolve("cpu"), 1, tmp_path_factory.mktemp("work"), run_limit_s=6) as measurer:
        (prepared,) = measurer.prepare([task], ROWS)
        modes = ["wrong", "part", "crash", "hang", "slow"]
        built = measurer.build([candidate(task, {"mode": mode}) for mode in modes])
        found = {one.candidate.choice["mode"]: timed for one, timed in measurer.measure_all(prepared, built, EFFORT)}
        same = Built(candidate=candidate(task, task.default), path=prepared.default)
        yield found | {"right": measurer.measure(prepared, same, EFFORT)}


def test_a_right_kernel_is_timed_at_each_batch_size_in_turn_with_the_default(measured: dict[str, Timed]):
    right, slow = measured["right"], measured["slow"]
    assert right.error == slow.error == ""
    assert len(right.seconds) == len(right.default_seconds) == len(ROWS)
    assert right.default_seconds[1] > right.default_seconds[0]
    assert slow.seconds[1] > 5 * slow.default_seconds[1]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("wrong", "output 0 differs from the default kernel's by 3.0"),
        ("part", "output 0 differs"),
        ("crash", "terminated"),
        ("hang", "Timeout, killed after 6 seconds"),
    ],
)
def test_a_candidate_that_fails_says_how_and_costs_itself_alone(mode: str, message: str, measured: dict[str, Timed]):
    assert message in measured[mode].error
    assert measured[mode].seconds == ()


def test_choices_that_give_one_kernel_have_one_code():
    codes = {mode: candidate(Doubled(), {"mode": mode}).code for mode in ("right", "wrong")}
    assert codes["right"] == candidate(Doubled(), {"mode": "right"}).code != codes["wrong"]
