"""Dense layers in lower precision, from `compile` to scores."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import helper
from two_columns import DIM, ROWS, TABLE, bucket, config, graph, number

import tvm_rank
from tvm_rank.cli.main import main
from tvm_rank.precision import Precision, Samples

UNITS, ITEMS = 20, 60
RNG = np.random.default_rng(5)
FIRST, SECOND = RNG.normal(size=(DIM + 1, UNITS)).astype(np.float32), RNG.normal(size=(UNITS, UNITS)).astype(np.float32) / 4
LAST = RNG.normal(size=(UNITS, 1)).astype(np.float32) / 4
USER, OF = pa.table({"age": pa.array([0.25, -1.0], pa.float32())}), np.arange(ITEMS) % 2
ITEM_TABLE = pa.table({"level": pa.array(np.arange(ITEMS) % ROWS)})
FEATURES = config(number("age", "user:age"), bucket("level", "item:level"))


def model() -> onnx.ModelProto:
    """Layers of 20, 20 and 1 outputs; only the last is too narrow to be reduced, the first is split into two."""
    nodes = [
        helper.make_node("Concat", ["age", "level"], ["h"], axis=1),
        *(helper.make_node("MatMul", [x, w], [y]) for x, w, y in (("h", "w1", "a"), ("b", "w2", "c"), ("d", "w3", "e"))),
        *(helper.make_node(kind, [x], [y]) for kind, x, y in (("Relu", "a", "b"), ("Tanh", "c", "d"), ("Sigmoid", "e", "score"))),
    ]
    nodes = [nodes[k] for k in (0, 1, 4, 2, 5, 3, 6)]
    return graph(nodes, {"age": (1,), "level": (DIM,)}, {"score": (1,)}, w1=FIRST, w2=SECOND, w3=LAST)


def expected() -> np.ndarray:
    x = np.hstack([USER["age"].to_numpy()[OF, None], TABLE[np.arange(ITEMS) % ROWS]])
    return (1 / (1 + np.exp(-np.tanh(np.maximum(x @ FIRST, 0) @ SECOND) @ LAST)))[:, 0]


SAMPLES = Samples(user=USER, items=ITEM_TABLE, item_request=OF, labels=(expected() > np.median(expected())).astype(int))


def compiled(**options) -> tvm_rank.Artifact:
    return tvm_rank.compile(features=FEATURES, model=model(), tables={"level": TABLE}, **options)


@pytest.mark.parametrize(("precision", "most"), [("int8", 0.02), ("bf16", 0.02)])
def test_scores_differ_by_what_the_report_says(precision: str, most: float, tmp_path: pathlib.Path):
    artifact = compiled(precision=precision, samples=SAMPLES)
    (found,) = artifact.manifest.precision["differences"]
    artifact.save(tmp_path / "artifact")
    off = np.abs(tvm_rank.load(tmp_path / "artifact").rank(**SAMPLES.arguments())["score"][:, 0] - expected())
    assert 0 < found["largest"] < most
    assert off.max() == pytest.approx(found["largest"], abs=1e-5)
    assert found["rank_correlation"] > 0.99
    assert abs(found["auc_change"]) < 0.01
    layers = artifact.manifest.precision["layers"]
    assert {layer["precision"] for layer in layers} == {precision, "fp32"}
    assert all((layer["error"] > 0) == (layer["precision"] == precision) for layer in layers)


def test_a_tolerance_that_is_not_kept_is_refused_with_the_layer_that_errs_most():
    with pytest.raises(tvm_rank.PrecisionError, match=r"a score differs by .* allowed is 1e-07; layer \d .*keep it"):
        compiled(precision=Precision(dense="int8", tolerance=1e-7), samples=SAMPLES)


def test_layers_that_are_kept_are_fp32():
    artifact = compiled(precision=Precision(dense="int8", keep=("first", "last")))
    layers = artifact.manifest.precision["layers"]
    assert layers[0]["precision"] == "fp32"
    assert layers[0]["why"] == "kept"
    assert artifact.manifest.precision["differences"] == []


def test_auto_stays_in_fp32_when_nothing_else_is_within_the_tolerance():
    artifact = compiled(precision=Precision(dense="auto", tolerance=0.0, keep=("first",)), samples=SAMPLES)
    assert not artifact.manifest.precision


@pytest.mark.parametrize("options", [{"precision": "auto"}, {"table_precision": {"level": "auto"}}])
def test_auto_without_samples_is_refused(options):
    with pytest.raises(tvm_rank.RankError, match="give compile"):
        compiled(**options)


def test_tables_beyond_the_tolerance_are_refused_with_the_one_that_errs_most():
    with pytest.raises(
        tvm_rank.PrecisionError, match=r"precision 'int4': a score differs by .*; table 'level' errs most, 0.\d+ of its"
    ):
        compiled(table_precision="int4", precision=Precision(tolerance=1e-4), samples=SAMPLES)


def test_auto_refuses_tables_that_are_beyond_its_own_tolerance():
    with pytest.raises(tvm_rank.PrecisionError, match=r"precision 'int4': a score differs by .*, allowed is 0.005; table 'level'"):
        compiled(table_precision="int4", precision="auto", samples=SAMPLES)


def test_auto_keeps_tables_when_nothing_else_is_within_the_tolerance():
    said: list[str] = []
    artifact = compiled(table_precision="auto", precision=Precision(tolerance=0.0), samples=SAMPLES, progress=said.append)
    assert [stack.precision for stack in artifact.stacks] == ["fp32"]
    assert not artifact.manifest.precision
    assert "scoring the samples with tables in fp16" in said
    assert not any("int8" in line or "timing" in line for line in said)


def test_auto_of_both_chooses_layers_first_and_with_them_tables_that_can_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tvm_rank.accuracy.choose.seconds_in_turns", lambda engines, _: list(range(len(engines), 0, -1)))
    monkeypatch.setattr("tvm_rank.compiler._Maker.dense_precisions", ("int8",))  # some machines have an instruction for bf16 too
    said: list[str] = []
    wanted = {
        "precision": Precision(dense="auto", tolerance=1e9),
        "table_precision": "auto",
        "samples": SAMPLES,
        "progress": said.append,
    }
    large = TABLE * np.float32(1e6)  # beyond fp16 and int4
    artifact = tvm_rank.compile(features=FEATURES, model=model(), tables={"level": large}, **wanted)
    assert artifact.manifest.precision["dense"] == "int8"
    assert [stack.precision for stack in artifact.stacks] == ["int8"]
    assert artifact.manifest.precision["differences"][0]["largest"] > 0
    layers = f"with {sum(layer['precision'] == 'int8' for layer in artifact.manifest.precision['layers'])} dense layers in int8"
    scored = [line.removeprefix("scoring the samples ") for line in said if line.startswith("scoring the samples ")]
    assert scored == ["in fp32", layers, *(f"{layers} and tables in {precision}" for precision in ("fp16", "int8", "int4"))]
    refused = [line for line in said if line.startswith("no tables in ")]
    assert [line.split()[3] for line in refused] == ["fp16:", "int4:"]
    assert all("table 'level': row" in line for line in refused)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dense": "int4"}, "give fp32, bf16, fp16, tf32, int8"),
        ({"keep": ("middle",)}, "'middle'"),
        ({"tolerance": -1.0}, "tolerance"),
    ],
)
def test_values_that_nothing_can_be_are_refused(wrong, says):
    with pytest.raises(tvm_rank.RankError, match=says):
        Precision(**wrong)


def test_the_command_compiles_judges_and_inspects(tmp_path: pathlib.Path, capsys):
    (tmp_path / "fg.json").write_text(json.dumps(FEATURES))
    onnx.save(model(), tmp_path / "model.onnx")
    (tmp_path / "tables").mkdir()
    np.save(tmp_path / "tables" / "level.npy", TABLE)
    for name, table in (("user", USER), ("items", ITEM_TABLE.append_column("request", pa.array(OF)))):
        with pa.OSFile(str(tmp_path / f"{name}.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    given = {"features": "fg.json", "model": "model.onnx", "tables": "tables", "out": "artifact"}
    judged = {"sample-user": "user.arrow", "sample-items": "items.arrow"}
    paths = [part for name, file in {**given, **judged}.items() for part in (f"--{name}", str(tmp_path / file))]
    assert main(["compile", *paths, "--precision", "int8", "--keep-fp32", "first", "--quiet"]) == 0
    assert main(["inspect", str(tmp_path / "artifact")]) == 0
    shown = capsys.readouterr().out
    assert "dense layers: int8; score differs by at most" in shown
    assert "kept" in shown
    assert "rank.reduced_dense by " in shown
