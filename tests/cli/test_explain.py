"""`tvm-rank explain`: a table and JSON, of fg.json and of an artifact."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from tvm_rank import zoo
from tvm_rank.cli import explain as verb
from tvm_rank.explain.trace import FeatureTrace, InputTrace, ValueTrace


def test_a_feature_is_explained_in_a_table(tvm_rank_command: Callable[..., Any], shop: Any):
    files = ["--user", shop.workload.user, "--items", shop.workload.items]
    done = tvm_rank_command(
        "explain", shop.workload.features, *files, "--item", 31, "--feature", "user_city", "--feature", "clicks"
    )
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "item 31 of request 1, hash function farm"
    assert lines[1].split() == ["feature", "type", "input", "raw", "text", "or", "number", "normalized", "id", "weight", "note"]
    assert lines[2].split()[:3] == ["user_city", "id_feature", "user:city"]
    assert "hash farm mod 100" in lines[2]
    assert lines[-1] == "the compiled program and the references agree on 2 features"


def test_an_artifact_is_explained_with_its_scores(tvm_rank_command: Callable[..., Any], shop: Any):
    files = ["--user", shop.workload.user, "--items", shop.workload.items]
    done = tvm_rank_command("explain", shop.artifact, *files, "--item", 40, "--feature", "price", "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert (found["item"], found["request"], found["hash_function"], found["agree"]) == (40, 1, "farm", True)
    assert found["scores"]["score"][0] == pytest.approx(zoo.oracle(shop.workload)[40], abs=1e-5)
    (feature,) = found["features"]
    assert feature["name"] == "price"
    assert feature["inputs"][0]["value"] == pytest.approx(feature["values"][0]["number"])


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--item", "-1"], 2, "'-1' is not a whole number of at least 0"),
        (["--item", "120"], 1, "--item 120: the items file has 120 rows, counted from 0"),
        (
            ["--item", "0", "--feature", "prize"],
            1,
            "feature 'prize': the configuration has none of this name; did you mean 'price'?",
        ),
    ],
)
def test_what_is_not_there_is_refused(tvm_rank_command: Callable[..., Any], shop: Any, arguments: list, status: int, message: str):
    files = ["--user", shop.workload.user, "--items", shop.workload.items]
    done = tvm_rank_command("explain", shop.workload.features, *files, *arguments)
    assert done.status == status
    assert message in done.err


def trace(**changes: Any) -> FeatureTrace:
    read = InputTrace(side="user", name="u", type="string", value=None)
    return FeatureTrace(**{"name": "f", "type": "id_feature", "rule": "hash std mod 9", "inputs": (read,), **changes})


def test_the_notes_say_defaults_refusals_and_differences():
    default = trace(values=(ValueTrace(text="-", id=4, is_default=True),), missing="null: user:u")
    refused, wrong = trace(error="feature 'f', row 0: no"), trace(differences=("texts: the program has a, the reference b",))
    assert verb.rows([default])[0] == ["f", "id_feature", "user:u", "null", "-", "", "4", "", "default; hash std mod 9"]
    assert verb.rows([default])[1][-1] == "null: user:u"
    assert verb.rows([refused])[1][-1] == "REFUSED: feature 'f', row 0: no"
    assert verb.rows([wrong])[1][-1] == "DIFFERS in texts: the program has a, the reference b"
    assert verb.verdict([default, refused]) == "the compiled program and the references agree on 1 features; 1 refuse the row"
    assert "DIFFER in f: please report" in verb.verdict([default, wrong])
    many = trace(values=tuple(ValueTrace(text=str(k), id=k) for k in range(30)))
    assert len(verb.rows([many])) == 20
    assert verb.rows([many])[1][-1] == "10 more values"


def test_a_difference_is_status_1(tvm_rank_command: Callable[..., Any], shop: Any, monkeypatch: pytest.MonkeyPatch):
    from tvm_rank.explain import explain

    monkeypatch.setattr(explain, "explain_item", lambda *_a, **_k: [trace(differences=("values: ...",))])
    files = ["--user", shop.workload.user, "--items", shop.workload.items]
    assert tvm_rank_command("explain", shop.workload.features, *files, "--item", 0).status == 1
    assert isinstance(shop.workload.read_items(), pa.Table)
