"""What counts as slower: more than the rounds of the two runs let doubt, and more than runs of one program differ by."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from tvm_rank.bench.compare import FASTER, SAME, SHARED, SLOWER, UNKNOWN, compare
from tvm_rank.bench.results import Measurement, Results, measurement
from tvm_rank.bench.text import comparison_text
from tvm_rank.errors import BenchError


def measured(rounds: Sequence[float], contestant: str = "tvm-rank", items: int = 64) -> Measurement:
    """A measurement whose rounds have these medians."""
    about = {
        "workload": "w",
        "items": items,
        "threads": 1,
        "contestant": contestant,
        "target": "cpu",
        "precision": "fp32",
        "part": "all",
    }
    told = [{"times_us": [one] * 3, "wall_s": 1.0, "cpu_s": 0.5, "foreign": 0.0, "steal": 0.0} for one in rounds]
    return measurement(told, **about, about="", versions={}, difference=0.0)


def results(*measurements: Measurement, cpu: str = "one", gflops: float = 100.0) -> Results:
    """A run with these measurements."""
    return Results(conditions={"cpu": cpu}, options={}, ceilings={"1": {"gflops": gflops}}, measurements=measurements)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ([100, 101, 99, 100, 102], [120, 121, 119, 122, 120], SLOWER),
        ([100, 101, 99, 100, 102], [80, 81, 79, 82, 80], FASTER),
        ([100, 101, 99, 100, 102], [103, 104, 102, 103, 105], SAME),  # within what two runs of one program differ by
        ([100, 140, 90, 130, 95], [120, 85, 150, 125, 100], SAME),  # within what the rounds differ by
        ([100, 101], [200, 201], UNKNOWN),
    ],
)
def test_the_verdict_of_a_measurement(old: Sequence[float], new: Sequence[float], verdict: str):
    found = compare(results(measured(old)), results(measured(new)))
    assert [change.verdict for change in found.changes] == [verdict]
    assert bool(found.slower) == (verdict == SLOWER)
    assert verdict in comparison_text(found, "old.json")


def test_a_slower_baseline_is_not_our_fault():
    slow, fast = [120.0] * 5, [100.0] * 5
    found = compare(results(measured(fast, "torch")), results(measured(slow, "torch")))
    assert found.changes[0].verdict == SLOWER
    assert found.slower == []


def test_other_machines_and_missing_measurements_are_named():
    old = results(measured([100.0] * 5), measured([100.0] * 5, items=256))
    new = measured([100.0] * 5), measured([100.0] * 5, items=1024)
    found = compare(old, results(*new, cpu="two", gflops=150.0))
    assert found.missing == ("w, 256 items, 1 thread, tvm-rank cpu fp32",)
    assert found.added == ("w, 1024 items, 1 thread, tvm-rank cpu fp32",)
    told = comparison_text(found, "old.json")
    assert "not measured any more: w, 256 items" in told
    assert "not measured before: w, 1024 items" in told
    assert "no measurement of tvm-rank is slower beyond the noise" in told
    assert any("cpu was one and is two" in warning for warning in found.warnings)
    assert any("the machine itself changed: gflops" in warning for warning in found.warnings)


@pytest.mark.parametrize(("foreign", "machine", "verdict"), [(0.2, "", SLOWER), (1.5, "", SHARED), (1.5, "arm", SLOWER)])
def test_times_with_waiting_in_them_say_nothing_of_the_program(foreign: float, machine: str, verdict: str):
    old = dataclasses.replace(measured([100.0] * 5), foreign=foreign, machine=machine)
    new = dataclasses.replace(measured([130.0] * 5), machine=machine)
    runs = [dataclasses.replace(results(one), conditions={"cpu": "one", "usable_cores": 2}) for one in (old, new)]
    found = compare(*runs)
    assert [change.verdict for change in found.changes] == [verdict]
    assert ("of 1 nothing can be said" in comparison_text(found, "old.json")) == (verdict == SHARED)
    same = dataclasses.replace(runs[1], measurements=runs[0].measurements)
    assert [change.verdict for change in compare(runs[0], same).changes] == [SAME]


def test_a_machine_that_was_busier_is_named():
    old, new = measured([100.0] * 5), dataclasses.replace(measured([100.0] * 5), foreign=0.5, steal=0.25)
    (warning,) = compare(results(old), results(new)).warnings
    assert warning == "others and the hypervisor took 0.00 cores then and 0.75 now: measure again on a quiet machine"


def test_servers_are_compared_with_servers():
    here, there = measured([100.0] * 5), dataclasses.replace(measured([10.0] * 5), machine="arm")
    found = compare(results(here, there), results(here))
    assert [(change.ratio, change.verdict) for change in found.changes] == [(1.0, SAME)]
    assert found.missing == ("w, 64 items, 1 thread, tvm-rank cpu fp32 on arm",)


def test_runs_that_have_nothing_in_common_cannot_be_compared():
    with pytest.raises(BenchError, match="no measurement in common"):
        compare(results(measured([100.0] * 3)), results(dataclasses.replace(measured([100.0] * 3), workload="v")))
