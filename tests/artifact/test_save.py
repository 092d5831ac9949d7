"""Saving: aside, then renamed; what was there stays whole until the new artifact is complete."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import importlib.util
import os
import pathlib
import stat
from typing import Any

import numpy as np
import pytest
import small_model

import tvm_rank
from tvm_rank.artifact import store
from tvm_rank.errors import ArtifactError
from tvm_rank.frontend import write_stack as writing


def scores(path: pathlib.Path) -> np.ndarray:
    """The scores that the artifact at `path` gives."""
    return tvm_rank.load(path).rank(user=small_model.user(), items=small_model.items())["score"]


def with_tables(artifact: tvm_rank.Artifact, factor: float) -> tvm_rank.Artifact:
    """The artifact with other tables, as after a training."""
    return dataclasses.replace(artifact, tables={name: table * np.float32(factor) for name, table in artifact.tables.items()})


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_saved_scores_as_numpy_says(saved: pathlib.Path):
    """The tables and weights are in it: one item by hand, from its ids by FarmHash to the sigmoid."""
    from tvm_rank.ops.hashes import hash_farm

    weights = {t.name: t for t in small_model.model().graph.initializer}
    w = np.frombuffer(weights["out_w"].raw_data, np.float32)
    tables, items, user = small_model.tables(), small_model.items(5), small_model.user()

    def row(table: str, text: str) -> np.ndarray:
        return tables[table][int(hash_farm(text.encode())) % small_model.ROWS[table]]

    weighted = [pair.rsplit(":", 1) for pair in user["affinity"][0].as_py()]
    sides = [row("city", user["city"][0].as_py()), tables["hour"][user["hour"][0].as_py()]]
    sides.append(sum(row("affinity", text) * np.float32(weight) for text, weight in weighted))
    k = 3
    tags = items["tags"][k].as_py()
    sides += [row("item_id", items["item_id"][k].as_py()), np.mean([row("tags", tag) for tag in tags], axis=0)]
    sides += [row("level", str(items["level"][k].as_py())), np.array([items["price"][k].as_py()])]
    sides.append(row("city_item", f"{user['city'][0].as_py()}_{items['item_id'][k].as_py()}"))
    wanted = 1 / (1 + np.exp(-float(np.concatenate(sides) @ w)))
    assert tvm_rank.load(saved).rank(user=user, items=items)["score"][k, 0] == pytest.approx(wanted, abs=1e-6)


def test_two_saves_are_the_same_and_load_alike(artifact: tvm_rank.Artifact, saved: pathlib.Path, tmp_path: pathlib.Path):
    artifact.save(tmp_path / "again")
    assert contents(tmp_path / "again").keys() == contents(saved).keys()
    assert np.array_equal(scores(tmp_path / "again"), scores(saved))
    assert store.read(tmp_path / "again").stacks == store.read(saved).stacks


def test_the_stages_are_texts_and_the_tables_are_rows(saved: pathlib.Path):
    assert "rank.lookup" in gzip.decompress((saved / "stages/import.gz").read_bytes()).decode()
    (stack,) = store.read(saved).stacks
    rows = np.fromfile(saved / stack.file, "<f4").reshape(stack.rows, stack.dim)
    for name, table in small_model.tables().items():
        first = stack.tables[name].first_row
        assert np.array_equal(rows[first : first + len(table)], table)


def test_missing_folders_are_made_and_the_artifact_can_be_read_by_all(quick: tvm_rank.Artifact, tmp_path: pathlib.Path):
    quick.save(tmp_path / "a" / "b" / "artifact")
    mode = stat.S_IMODE((tmp_path / "a/b/artifact").stat().st_mode)
    assert mode == 0o755
    assert os.listdir(tmp_path / "a/b") == ["artifact"]


def test_saving_over_an_artifact_replaces_it(quick: tvm_rank.Artifact, copy: pathlib.Path, saved: pathlib.Path):
    (copy / "stale.txt").write_text("of the old one")
    with_tables(quick, 2.0).save(copy)
    assert not (copy / "stale.txt").exists()
    assert not np.array_equal(scores(copy), scores(saved))
    assert os.listdir(copy.parent) == [copy.name]


def test_an_engine_goes_on_with_the_artifact_that_was_replaced(quick: tvm_rank.Artifact, copy: pathlib.Path):
    engine = tvm_rank.load(copy)
    before = engine.rank(user=small_model.user(), items=small_model.items())["score"]
    with_tables(quick, 2.0).save(copy)
    assert np.array_equal(engine.rank(user=small_model.user(), items=small_model.items())["score"], before)


@pytest.mark.parametrize("kind", ["file", "folder", "empty-folder"])
def test_something_else_in_the_place_is_refused_and_left_alone(quick: tvm_rank.Artifact, tmp_path: pathlib.Path, kind: str):
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        if kind == "folder":
            (place / "mine.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="exists and is not an artifact; give another path, or remove it"):
        quick.save(place)
    assert os.listdir(tmp_path) == ["place"]
    assert place.is_file() == (kind == "file")
    assert kind != "folder" or (place / "mine.txt").read_text() == "mine"


FAILURES = {
    "disk-full": OSError(errno.ENOSPC, "No space left on device"),
    "interrupted": KeyboardInterrupt(),
    "exit": SystemExit(3),
    "bug": RuntimeError("a bug"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("place", ["tables", "manifest", "rename"])
def test_a_failed_save_leaves_the_old_artifact_whole(
    quick: tvm_rank.Artifact, copy: pathlib.Path, monkeypatch: pytest.MonkeyPatch, failure: str, place: str
):
    error, before = FAILURES[failure], contents(copy)

    def fail(*_args: Any, **_more: Any) -> Any:
        raise error

    if place == "tables":
        monkeypatch.setattr(writing, "write_stack", fail)
    elif place == "manifest":
        monkeypatch.setattr(tvm_rank.Artifact, "_finish", fail)
    else:
        rename = pathlib.Path.rename
        moves = []

        def second_fails(self: pathlib.Path, target: Any) -> Any:
            """The old artifact has been put aside, the new one cannot take its place."""
            moves.append(target)
            return fail() if len(moves) == 2 else rename(self, target)

        monkeypatch.setattr(pathlib.Path, "rename", second_fails)
    wanted = ArtifactError if isinstance(error, OSError) else type(error)
    with pytest.raises(wanted):
        with_tables(quick, 2.0).save(copy)
    monkeypatch.undo()
    assert contents(copy) == before
    assert os.listdir(copy.parent) == [copy.name]
    tvm_rank.load(copy)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_first_save_leaves_nothing(
    quick: tvm_rank.Artifact, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, failure: str
):
    def fail(*_args: Any, **_more: Any) -> None:
        raise FAILURES[failure]

    monkeypatch.setattr(writing, "write_stack", fail)
    with pytest.raises(BaseException, match=r"No space left|^$|3|a bug"):
        quick.save(tmp_path / "artifact")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_an_artifact_error(quick: tvm_rank.Artifact, tmp_path: pathlib.Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ArtifactError, match="file/artifact: cannot be written"):
        quick.save(tmp_path / "file" / "artifact")


def test_without_a_linker_the_error_says_what_to_install(
    quick: tvm_rank.Artifact, artifact: tvm_rank.Artifact, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ziglang" else find_spec(name, *more))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ArtifactError, match=r"model.so: nothing to link the code with; install"):
        quick.save(tmp_path / "artifact")
    (tmp_path / "refuses").write_text("#!/bin/sh\necho file in wrong format\nexit 1\n")
    (tmp_path / "refuses").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "refuses"))
    with pytest.raises(ArtifactError, match=r"refuses cannot link code for \w+; set CXX(?s:.)*file in wrong format"):
        artifact.save(tmp_path / "artifact")
    assert sorted(os.listdir(tmp_path)) == ["refuses"]


def test_a_read_only_folder_is_loaded_and_left_alone(copy: pathlib.Path):
    before = contents(copy)
    for path in [*copy.rglob("*"), copy]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert scores(copy).shape == (small_model.ITEMS, 1)
        assert contents(copy) == before
    finally:
        for path in [copy, *copy.rglob("*")]:
            path.chmod(0o755)


def test_tvm_says_nothing_while_an_artifact_is_saved(
    artifact: tvm_rank.Artifact, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture
):
    artifact.save(tmp_path / "artifact")
    assert capfd.readouterr() == ("", "")
