"""check: an artifact proves itself by its samples, and tells a wrong score, a wrong file, another machine."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import small_model

import tvm_rank
from tvm_rank.artifact import store
from tvm_rank.artifact.manifest import Manifest
from tvm_rank.artifact.samples import ITEMS, scores_file
from tvm_rank.cli.main import main
from tvm_rank.errors import ArtifactError, RankError


def sealed(folder: pathlib.Path, **changes: Any) -> Manifest:
    """The artifact with a manifest that fits its files as they are now, and these changes."""
    manifest = Manifest.from_json((folder / store.MANIFEST).read_text(encoding="utf-8"), str(folder))
    (folder / store.MANIFEST).unlink()
    manifest = dataclasses.replace(manifest, files=store.entries(folder), **changes)
    (folder / store.MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def change_score(folder: pathlib.Path, by: float) -> None:
    """Let one expected score be another."""
    path = folder / scores_file(0)
    scores = np.load(path)
    scores[3] += by
    np.save(path, scores)


def test_an_artifact_is_right_where_it_was_made(saved: pathlib.Path):
    report = tvm_rank.check(saved, rounds=3)
    assert report.ok
    assert (report.source, report.requests, report.items, report.request_items, report.missing) == ("generated", 2, 16, 8, "")
    (output,) = report.outputs
    assert (output.output, output.rows, output.tolerance, output.nonfinite) == ("score", 16, 1e-4, 0)
    assert output.largest < 1e-5
    assert report.load_ms > report.median_ms > 0
    assert json.loads(json.dumps(report.to_json()))["outputs"][0]["ok"] is True


def test_the_samples_score_differently(saved: pathlib.Path):
    """Scores that are all the same would prove nothing."""
    assert len(np.unique(np.load(saved / scores_file(0)).round(5))) > 8


def test_a_wrong_score_is_told_with_status_1(copy: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture):
    change_score(copy, 0.25)
    with pytest.raises(ArtifactError, match=r"samples/scores_0.npy was altered \(its checksum differs\)"):
        tvm_rank.check(copy)
    sealed(copy)
    assert main(["check", str(copy), "--rounds", "1", "--json", str(tmp_path / "found.json")]) == 1
    said = capsys.readouterr().out
    assert re.search(r"^score +16  2\.5e-01 +[12]\.\de-01 +1.0e-04 +no\nFAILED: score\n", said, re.MULTILINE)
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["ok"], round(found["outputs"][0]["largest"], 4)) == (False, 0.25)
    assert main(["check", str(copy), "--rounds", "1", "--tolerance", "0.3"]) == 0
    assert "ok: the scores are those" in capsys.readouterr().out
    change_score(copy, float("nan"))
    sealed(copy)
    assert main(["check", str(copy), "--tolerance", "0.3"]) == 1
    assert "no, 1 not finite" in capsys.readouterr().out


def test_it_needs_neither_the_compiler_nor_onnx(saved: pathlib.Path, fresh_python: Callable[..., str]):
    code = (
        "import sys\nfrom tvm_rank.cli.main import main\n"
        "status = main(['check', sys.stdin.read(), '--rounds', '1'])\n"
        "print(status, sorted({'tvm', 'onnx', 'safetensors'} & sys.modules.keys()))"
    )
    assert fresh_python(code, stdin=str(saved)).endswith("0 []\n")


def test_what_carries_no_scores_is_not_said_to_be_right(copy: pathlib.Path, capsys: pytest.CaptureFixture):
    (entry,) = store.read(copy).samples
    (copy / scores_file(0)).unlink()
    sealed(copy, samples=(dataclasses.replace(entry, tolerances={}, missing="the evaluator lacks the operator Dream"),))
    assert main(["check", str(copy)]) == 1
    assert "NOT CHECKED: the artifact carries no expected scores: the evaluator lacks the operator Dream" in capsys.readouterr().out
    sealed(copy, samples=())
    with pytest.raises(RankError, match="carries no sample requests; compile it with samples of your own"):
        tvm_rank.check(copy)


def test_damage_behind_right_checksums_and_another_machine_are_refused(copy: pathlib.Path):
    scores = (copy / scores_file(0)).read_bytes()
    np.save(copy / scores_file(0), np.zeros((16, 2), np.float32))
    sealed(copy)
    with pytest.raises(ArtifactError, match=r"scores_0.npy is damaged \(has float32 \(16, 2\), wanted float32 \(16, 1\)\)"):
        tvm_rank.check(copy)
    (copy / scores_file(0)).write_bytes(scores)
    (copy / ITEMS).write_bytes((copy / ITEMS).read_bytes()[:99])
    sealed(copy)
    with pytest.raises(ArtifactError, match=r"samples/items.arrow is damaged"):
        tvm_rank.check(copy)
    sealed(copy, needs=("flux_capacitor",))
    with pytest.raises(ArtifactError, match="this CPU lacks flux_capacitor"):
        tvm_rank.check(copy)


def test_samples_that_are_given_are_taken_from_their_begin(quick: tvm_rank.Artifact):
    from tvm_rank.samples.requests import Columns, first_requests

    manifest = quick.manifest
    columns = Columns(
        user=[use.name for use in manifest.request_fields],
        items=[use.name for use in manifest.item_fields if not use.is_request],
    )
    of = np.repeat([2, 0, 1], [12, 12, 13])
    given = tvm_rank.Samples(user=small_model.user(3), items=small_model.items(37), item_request=of)
    taken = first_requests(given, columns)
    assert taken is not None
    assert taken.item_request.tolist() == [0] * 8 + [1] * 8
    assert taken.user is not None
    assert taken.user.column("hour").equals(small_model.user(3)["hour"].take([2, 0]))
    assert taken.items.column("item_id").equals(small_model.items(37)["item_id"].take([*range(8), *range(12, 20)]))
    long = small_model.items(37) | {"tags": [["x" * 300_000]] * 37}
    assert first_requests(tvm_rank.Samples(user=small_model.user(1), items=long), columns) is None
