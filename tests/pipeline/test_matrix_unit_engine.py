"""Engines ask for the CPU's matrix unit, and do without it when it is refused: never a crash, and nearly the same scores."""

from __future__ import annotations

import errno
import pathlib
import sys
from unittest import mock

import numpy as np
import pytest
from onnx import helper
from two_columns import DIM, ROWS, TABLE, bucket, config, graph

import tvm_rank
from te_schedules.dense.reduced import matrix
from tvm_rank.runtime import matrix_unit
from tvm_rank.runtime.this_machine import cpu_flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "dense"))

import intel_manual

UNITS, ITEMS = 33, {"level": np.arange(60) % ROWS}
TARGET = {"kind": "llvm", "mcpu": "cascadelake", "mattr": ["+amx-tile", "+amx-bf16", "+amx-int8"], "opt-level": 0}
WEIGHT = np.random.default_rng(5).normal(size=(DIM, UNITS)).astype(np.float32)
AMX = frozenset({"amx_tile", "amx_bf16", "amx_int8"})

pytestmark = pytest.mark.skipif("avx512_vnni" not in cpu_flags(), reason="the other instructions of the target must be there")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An artifact whose kernels may use tiles, which here are memory."""
    nodes = [helper.make_node("MatMul", ["level", "w"], ["score"])]
    model = graph(nodes, {"level": (DIM,)}, {"score": (UNITS,)}, w=WEIGHT)
    with mock.patch.dict(matrix.IMPORTS, amx=intel_manual.AMX):
        artifact = tvm_rank.compile(
            features=config(bucket("level", "item:level")), model=model, tables={"level": TABLE}, precision="bf16", target=TARGET
        )
    path = tmp_path_factory.mktemp("matrix_unit") / "artifact"
    artifact.save(path)
    return path


def _scores(engine: tvm_rank.Engine) -> np.ndarray:
    return engine.rank(items=ITEMS)["score"]


def test_a_cpu_without_the_unit_is_warned_of_and_gives_nearly_the_same_scores(folder: pathlib.Path, monkeypatch):
    monkeypatch.setattr(matrix_unit, "cpu_flags", lambda: cpu_flags() - AMX)
    with pytest.warns(
        RuntimeWarning, match=r"compiled for the CPU's matrix unit .* but this CPU lacks amx_bf16, amx_tile; .*slower"
    ):
        engine = tvm_rank.load(folder)
    assert not AMX & set(engine.manifest.needs)
    (layer,) = (one for one in engine.manifest.kernels if one["operator"] == "rank.reduced_dense")
    assert (layer["matrix_flag"], layer["instruction"]) == ("amx_bf16", "tdpbf16ps, or multiplications of float32")
    without = _scores(engine)
    monkeypatch.setattr(matrix_unit, "cpu_flags", lambda: cpu_flags() | AMX)
    monkeypatch.setattr(matrix_unit, "_asked", lambda: 0)
    with pytest.MonkeyPatch.context() as strict:
        strict.setattr("warnings.warn", mock.Mock(side_effect=AssertionError("a warning")))
        by_tiles = _scores(tvm_rank.load(folder))
    want = TABLE[ITEMS["level"]] @ WEIGHT
    for got in (without, by_tiles):
        assert np.abs(got - want).max() < 0.02 * np.abs(want).max()
    assert 0 < np.abs(by_tiles - without).max() < 1e-5  # sums in another order: both kernels are in the library, and were chosen


def test_a_refusal_of_linux_is_warned_of_with_its_reason(folder: pathlib.Path, monkeypatch):
    monkeypatch.setattr(matrix_unit, "cpu_flags", lambda: cpu_flags() | AMX)
    monkeypatch.setattr(matrix_unit, "_asked", lambda: errno.EPERM)
    with pytest.warns(RuntimeWarning, match="Linux refuses it to this process"):
        engine = tvm_rank.load(folder)
    assert np.isfinite(_scores(engine)).all()


def test_this_process_is_given_what_its_cpu_has():
    assert (matrix_unit._asked() == 0) == ("amx_tile" in cpu_flags())
    assert (matrix_unit.refused(frozenset({"amx_bf16"})) == "") == ("amx_bf16" in cpu_flags())


def test_flags_of_tiles_are_not_what_an_artifact_needs():
    from tvm_rank.target import resolve

    for target in ("sapphirerapids", {"kind": "llvm", "mcpu": "sapphirerapids"}):
        needs = resolve(target).needs
        assert not AMX & set(needs)
        assert {"avx512_bf16", "avx512_fp16", "avx_vnni"} < set(needs)
