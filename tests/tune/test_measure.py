"""Candidates in processes of their own: one that is wrong, crashes or hangs costs itself alone."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from tvm_rank.target import resolve
from tvm_rank.tune.measure import Built, Effort, Measurer, Timed, candidate
from tvm_rank.tune.records import Choice
from tvm_rank.tune.task import kernel_module
from tvm_rank.tune.worker import ARGUMENTS, ARRAY, ENTRY, OUTPUT

EFFORT = Effort(rounds=5, runs=3)
ROWS = (100, 3000)


class Doubled:
    """out = 2 x, or what `mode` says."""

    name = operator = "doubled"
    calls = 1

    @property
    def default(self) -> Choice:
        return {"mode": "right"}

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return {"mode": ("right", "slow", "wrong", "part", "crash", "hang")}

    def module(self, choice: Choice) -> tvm.IRModule:
        mode = choice["mode"]
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name(ENTRY)
            handles = [T.arg(name, T.handle()) for name in ("x", "out")]
            n = T.int64()
            x, out = (T.match_buffer(handle, (n,), "float32") for handle in handles)
            if mode == "crash":
                T.evaluate(T.call_extern("void", "abort"))
            if mode == "hang":
                T.evaluate(T.call_extern("int32", "sleep", 600))
            with T.serial(20 if mode == "slow" else 1), T.serial(n - 1 if mode == "part" else n) as i:
                factor = T.Select(x[i] > 2.5, T.float32(3), T.float32(2)) if mode == "wrong" else T.float32(2)
                T.buffer_store(out, T.call_extern("float32", "fabsf", x[i]) * factor, [i])
        return kernel_module(builder.get())

    def shapes(self, _choice: Choice, rows: int) -> list[list[int]]:
        return [[rows], [rows]]

    def record(self, folder: pathlib.Path, rows: int) -> None:
        np.save(folder / "x.npy", np.linspace(0, 3, rows, dtype=np.float32))
        entries = [{"kind": ARRAY, "file": "x.npy"}, {"kind": OUTPUT, "shape": [rows], "dtype": "float32"}]
        (folder / ARGUMENTS).write_text(json.dumps(entries))


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
