"""Item stores are tried on the whole model: what fits and is measured is written down, and the best that is slower nowhere is taken."""

from __future__ import annotations

import dataclasses
import pathlib
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

import tvm_rank
from tvm_rank.cli.tuning_text import learned_text
from tvm_rank.items.prepare import StoreChoice, StoreOptions, store_name
from tvm_rank.runtime.columns import NUMBER, FieldUse
from tvm_rank.tune import stores
from tvm_rank.tune.database import TuningDatabase
from tvm_rank.tune.journal import Journal
from tvm_rank.tune.records import Session, StoreTrial, best_of
from tvm_rank.tune.whole import Compared

USES = (FieldUse(side="item", name="price", role=NUMBER), FieldUse(side="user", name="age", role=NUMBER))
TRIAL = StoreTrial(
    session="s", store=store_name("id", USES), layout="rows", materialize="ids", bytes=0, default_seconds=(1e-3, 2e-3),
    ratios=(0.9, 0.8), least=(0.89, 0.79), largest=(0.91, 0.81), difference=0.0, error="",
)  # fmt: skip


def changed(layout: str, materialize: str, **figures: Any) -> StoreTrial:
    return dataclasses.replace(TRIAL, layout=layout, materialize=materialize, **figures)


@pytest.mark.parametrize(
    ("trials", "best"),
    [
        ([TRIAL], ("rows", "ids")),
        ([TRIAL, changed("rows", "dense", ratios=(0.5, 0.6))], ("rows", "dense")),
        ([TRIAL, changed("rows", "dense", ratios=(0.5, 1.02))], ("rows", "ids")),
        ([TRIAL, changed("rows", "dense", ratios=(0.5, 0.5), difference=1e-5)], ("rows", "ids")),
        ([changed("rows", "none", ratios=(0.99, 0.99))], None),
        ([changed("rows", "none", ratios=(), error="no room")], None),
    ],
)
def test_the_best_store_is_slower_nowhere_and_gives_the_same_scores(trials: list[StoreTrial], best: tuple[str, str] | None):
    assert best_of(trials) == (None if best is None else StoreChoice(layout=best[0], materialize=best[1]))


class Model:
    """An artifact of which only the manifest and `save` are there."""

    def __init__(self, layout: str, level: str):
        values = [SimpleNamespace(shape=(100,), dtype="float32")] if level in ("embeddings", "dense") else []
        entry = SimpleNamespace(key="id", layout=layout, materialized=level, rows=10, values=values, kept_features=())
        self.manifest = SimpleNamespace(store=(entry,), item_fields=USES)

    def save(self, folder: pathlib.Path) -> None:
        folder.mkdir()
        (folder / "what").write_text(" ".join([self.manifest.store[0].layout, self.manifest.store[0].materialized]))


def run(monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path, known: list[StoreTrial], **inputs: Any) -> list[StoreTrial]:
    """What is noted when a model has all stores but one, which has nothing to keep, and one that cannot be made."""

    def compile(store_layout: str, materialize: str, **_inputs: Any) -> Model:
        if (store_layout, materialize) == ("rows", "embeddings"):
            raise tvm_rank.InputError("no such items")
        return Model(store_layout, "none" if materialize == "ids" else materialize)

    def contest(default: pathlib.Path, other: pathlib.Path) -> Compared:
        assert (default / "what").read_text() == "columns none"
        ratio = 0.5 if "dense" in (other / "what").read_text() else 1.0
        return Compared(default_seconds=(1.0,), ratios=(ratio,), least=(ratio,), largest=(ratio,), difference=0.0)

    monkeypatch.setattr("tvm_rank.compiler.compile", compile)
    found: list[StoreTrial] = []
    stores.tried(inputs, Model("columns", "none"), folder, "s", contest, known, 60.0, found.append)  # type: ignore[arg-type]
    assert list(folder.iterdir()) == []
    return found


def test_each_other_store_is_measured_once_or_says_why_not(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    found = run(monkeypatch, tmp_path, [])
    assert {(one.layout, one.materialize): one.error or one.ratios for one in found} == {
        ("rows", "none"): (1.0,),
        ("columns", "ids"): "the model has nothing of that kind to compute ahead",
        ("rows", "ids"): "the model has nothing of that kind to compute ahead",
        ("columns", "embeddings"): (1.0,),
        ("rows", "embeddings"): "no such items",
        ("columns", "dense"): (0.5,),
        ("rows", "dense"): (0.5,),
    }
    assert run(monkeypatch, tmp_path, found) == []
    assert len(run(monkeypatch, tmp_path, found[:3])) == 4


def test_a_store_above_the_budget_is_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    found = run(monkeypatch, tmp_path, [], memory_budget=3999)
    (dense,) = [one for one in found if (one.layout, one.materialize) == ("columns", "dense")]
    assert dense.error == "would keep 4,000 bytes, more than the budget of 3,999"


def test_a_database_says_how_a_store_is_made_unless_compile_is_told(tmp_path: pathlib.Path):
    session = Session(target="t", processor="p", version="0", tvm_version="0", threads=1, batch_sizes=(4, 8))
    with Journal(tmp_path / "db") as journal:
        for record in (session, dataclasses.replace(TRIAL, session=session.key)):
            journal.append(record)
    database = TuningDatabase.load(tmp_path / "db")
    text = learned_text(database)
    assert "rows, ids" in text
    assert "+15.1%" in text
    tuned = {name: best for name in database.store_names(session) if (best := best_of(database.stores(session, name)))}
    items = pa.table({"id": [1, 2], "price": [1.0, 2.0]})
    for given, wanted in (
        ({}, ("rows", "ids")),
        ({"layout": "columns"}, ("columns", "ids")),
        ({"materialize": "none"}, ("rows", "none")),
    ):
        stored = StoreOptions(items=items, key="id", **given).prepared(USES, (), (), lambda _level: 0, tuned)
        assert stored is not None
        assert (stored.entry.layout, stored.entry.materialized) == wanted
    other = StoreOptions(items=items, key="id").prepared(USES[1:], (), (), lambda _level: 0, tuned)
    assert other is not None
    assert (other.entry.layout, other.entry.materialized) == ("columns", "none")
