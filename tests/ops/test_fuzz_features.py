"""scripts/fuzz_features.py: it runs on a small count, and would tell a difference."""

from __future__ import annotations

import importlib.util
import pathlib
import random
import sys

import numpy as np
import pytest

from tvm_rank.ops.hashes import hash_std
from tvm_rank.output import FeatureOutput

OPTIMIZED = True  # see tests/conftest.py

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts" / "fuzz_features.py"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz_features", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_small_run_finds_no_difference_and_then_a_planted_one(fuzz, monkeypatch, capsys):
    """Both in one test, because compiling takes most of the time: the second batch is compared with a wrong hash."""
    honest, calls = fuzz.farm_hashes, []

    def planted(texts):
        calls.append(len(texts))
        hashes = honest(texts)
        return hashes ^ np.uint64(1) if len(calls) > len(fuzz.HASHED) else hashes

    monkeypatch.setattr(fuzz, "farm_hashes", planted)
    monkeypatch.setattr(fuzz, "BATCH", 150)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--count", "300"])
    assert fuzz.main() == 1
    said = capsys.readouterr().out.splitlines()
    assert "150 texts and numbers of each kind, 0 differences" in said[1]
    assert not any(line.startswith("std") and " 0 differences" not in line for line in said)
    assert all(" 0 differences" not in line for line in said if line.startswith("farm"))
    assert sum(line.startswith(("std", "farm")) for line in said) == len(fuzz.HASHED | fuzz.OTHERS) + len(fuzz.HASHED)


def test_the_hash_of_many_texts_at_once_is_the_defined_one(fuzz):
    source = random.Random(3)
    texts = [source.randbytes(length) for length in range(301)] + [b"\0" * 8, b"\xff" * 17]
    assert fuzz.std_hashes(texts).tolist() == [hash_std(text) for text in texts]


def test_differences_are_counted_bit_by_bit(fuzz):
    ids = FeatureOutput(values=np.array([1, 2, 3]), lengths=np.array([1, 2], np.int32))
    assert fuzz.differences(ids, ids) == 0
    assert fuzz.differences(FeatureOutput(values=np.array([1, 5, 3]), lengths=ids.lengths), ids) == 1
    assert fuzz.differences(FeatureOutput(values=ids.values, lengths=np.array([2, 1], np.int32)), ids) == 2
    zero, minus = (FeatureOutput(dense=np.array([[value], [np.nan]], np.float32)) for value in (0.0, -0.0))
    assert fuzz.differences(zero, zero) == 0
    assert fuzz.differences(minus, zero) == 1
