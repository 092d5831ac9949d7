"""scripts/fuzz_types.py: it runs on a small count, would tell a difference, and knows every feature type."""

from __future__ import annotations

import dataclasses
import pathlib
import random
import sys

import pytest

from tvm_rank.config.types import FEATURE_TYPES

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import fuzz_types

    yield fuzz_types
    for name in [name for name in sys.modules if name.split(".")[0] in ("fuzz_types", "fuzzing")]:
        del sys.modules[name]


def test_a_small_run_finds_no_difference_and_then_a_planted_one(fuzz, monkeypatch, capsys):
    """Both in one test, because compiling takes most of the time: behind the first batch the reference is wrong."""
    honest, calls = fuzz.reference, []

    def planted(feature, *others):
        calls.append(feature)
        out = honest(feature, *others)
        if len(calls) <= 3:
            return out
        dense, values = out.dense, out.values
        return dataclasses.replace(out, dense=None if dense is None else dense + 1, values=None if values is None else values ^ 1)

    monkeypatch.setattr(fuzz, "reference", planted)
    monkeypatch.setattr(fuzz, "BATCHES", 2)
    assert fuzz.run_type("combine_feature", 1500, 3, seed=3) > 0
    said = capsys.readouterr().out.splitlines()
    assert {line.partition('"feature_name": ')[2][:4] for line in said if "values differ" in line} == {'"f0"', '"f1"', '"f2"'}


def test_every_type_has_random_configurations(fuzz):
    types = {
        keys.get("feature_type", name) for name in fuzz.CONFIGURATIONS for keys in fuzz.configurations(name, 3, random.Random(0))
    }
    assert types == set(FEATURE_TYPES)


@pytest.mark.parametrize(
    ("name", "form"),
    [("custom_feature", "group"), ("tokenize_feature", "sequence"), ("text_normalizer", "plain"), ("id_feature", "sequence"),
     ("combo_feature", "group"), ("integer ids", "plain")],
)  # fmt: skip
def test_a_small_run_of_a_form_finds_no_difference(fuzz, name, form):
    assert fuzz.run_type(name, 1, 3, seed=5, form=form) == 0


def test_sequences_are_of_every_form(fuzz):
    import pyarrow as pa

    draw = random.Random(1)
    columns = [column for _ in range(6) for column in fuzz.sequence_batch(draw, 20).values()]
    kinds = {column.type for column in columns}
    assert {pa.string(), pa.list_(pa.string()), pa.list_(pa.list_(pa.string())), pa.list_(pa.float64())} <= kinds
    assert all(len(column) == 20 for column in columns)
    assert any(column.null_count for column in columns)
    assert any(
        b";" in (text or b"") for column in columns if column.type == pa.string() for text in column.cast(pa.binary()).to_pylist()
    )
