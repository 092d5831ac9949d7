"""The plan of an artifact: counted FLOPs, sides and rows, as text, JSON and a picture."""

from __future__ import annotations

import json
import pathlib
import xml.etree.ElementTree as ElementTree

import onnx
import pytest

import tvm_rank
from tvm_rank import zoo
from tvm_rank.cli.main import main
from tvm_rank.errors import ArtifactError
from tvm_rank.plan.picture import plan_svg
from tvm_rank.plan.steps import Amount, Plan, Step, total
from tvm_rank.plan.text import plan_text, rows_text

N = 100


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> zoo.Workload:
    return zoo.build("deepfm", tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def artifact(workload: zoo.Workload) -> tvm_rank.Artifact:
    return tvm_rank.compile(features=workload.features, model=workload.model, tables=workload.tables)


@pytest.fixture(scope="module")
def saved(artifact: tvm_rank.Artifact, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("saved") / "artifact"
    artifact.save(path)
    return path


def _layers(steps: tuple[Step, ...], operator: str) -> list[Step]:
    return [step for step in steps if step.operator == operator]


def test_products_are_counted_twice_their_size(artifact: tvm_rank.Artifact, workload: zoo.Workload):
    model = onnx.load(workload.model)
    shapes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    weights = [shapes[node.input[1]] for node in model.graph.node if node.op_type in ("Gemm", "MatMul") and node.input[1] in shapes]
    matmuls = _layers(artifact.plan.before, "matmul")
    assert sorted(step.flops.items for step in matmuls) == sorted(2 * rows * columns for rows, columns in weights)
    assert all(step.rows == Amount(items=1) and step.flops.constant == step.flops.requests == 0 for step in matmuls)


def test_lookups_read_rows_in_the_precision_of_their_table(workload: zoo.Workload):
    from tvm_rank.frontend.brought import graph_of, read
    from tvm_rank.plan.trace import steps_of

    reading = {"hash_function": None, "base_dir": workload.folder, "udfs": (), "dialect": "pyfg"}
    lookups = {}
    for precision in ("fp32", "int8"):
        brought = read(workload.features, workload.model, workload.tables, reading, precision)
        steps = steps_of(graph_of(brought)[0].mod)
        lookups[precision] = [step.bytes.at(1, 1) for step in _layers(steps, "rank.lookup")]
    dims = [exact // 8 for exact in lookups["fp32"]]  # 4 bytes are read of the table, and 4 written
    assert set(dims) <= {table.shape[1] for table in brought.tables.values()}  # those of the model's own file too
    assert lookups["int8"] == [(2 + dim) + 4 * dim for dim in dims]


def test_the_passes_move_work_to_the_request_side(artifact: tvm_rank.Artifact):
    plan = artifact.plan
    before, after = total(plan.before, 1, N)[0], total(plan.after, 1, N)[0]
    assert after < before
    on_request = [step for step in _layers(plan.after, "rank.dense") if step.side == "request"]
    assert on_request
    assert all(step.rows == Amount(requests=1) and step.flops.items == 0 for step in on_request)


def test_every_feature_is_a_step_with_its_side(artifact: tvm_rank.Artifact):
    sides = {step.name: step.side for step in artifact.plan.before if step.operator.startswith("rank.")}
    assert set(artifact.manifest.features) <= set(sides)
    config = json.loads(artifact.config)
    for feature in config["features"]:
        if feature["feature_type"] in ("id_feature", "raw_feature") and feature["feature_name"] in sides:
            wanted = "item" if feature["expression"].startswith("item:") else "request"
            assert sides[feature["feature_name"]] == wanted, feature


def test_a_plan_is_read_as_it_was_written(artifact: tvm_rank.Artifact):
    assert Plan.from_json(artifact.plan.to_json(), "plan.json") == artifact.plan


@pytest.mark.parametrize("change", [lambda p: p["after"][0].update(inputs=[5]), lambda p: p.pop("before"), lambda p: p.update(x=1)])
def test_a_damaged_plan_is_refused(artifact: tvm_rank.Artifact, change):
    data = json.loads(artifact.plan.to_json())
    change(data)
    with pytest.raises(ArtifactError, match=r"plan\.json: damaged"):
        Plan.from_json(json.dumps(data), "plan.json")


def test_the_text_has_both_graphs_and_their_sums(artifact: tvm_rank.Artifact):
    text = plan_text(artifact.plan, 1, N)
    assert text.index("before the passes") < text.index("after the passes") < text.index(f"R = 1 request, N = {N} items")
    assert "item_features" in text
    assert "request_part" in text


@pytest.mark.parametrize(
    ("rows", "text"),
    [(Amount(), "0"), (Amount(items=1), "N"), (Amount(requests=1, items=2, constant=3), "R + 2 N + 3"), (Amount(constant=4), "4")],
)
def test_rows_are_written_as_a_sum(rows: Amount, text: str):
    assert rows_text(rows) == text


def test_the_picture_is_svg_with_a_box_for_each_kernel(artifact: tvm_rank.Artifact):
    root = ElementTree.fromstring(plan_svg(artifact.plan, 1, N))
    texts = {element.text for element in root.iter() if element.tag.endswith("text")}
    assert {step.name for step in artifact.plan.after} <= texts


def test_inspect_prints_and_draws_the_plan(saved: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    picture = tmp_path / "plan.svg"
    assert main(["inspect", str(saved), "--plan", "--items", "1000", "--svg", str(picture)]) == 0
    assert "N = 1000 items" in capsys.readouterr().out
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    assert main(["inspect", str(saved), "--plan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"before", "after", "kernels"}


def test_inspect_says_what_does_not_fit(saved: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    for arguments in (["--svg", "x.svg"], ["--plan", "--items", "0"], ["--plan", "--stage", "graph"]):
        assert main(["inspect", str(saved), *arguments]) != 0
    assert "--svg with --plan" in capsys.readouterr().err


def test_the_kernels_of_a_plan_carry_the_operations_of_their_layers(artifact: tvm_rank.Artifact):
    layers = [step for step in artifact.plan.kernels if step.operator.startswith("dense_")]
    wanted = _layers(artifact.plan.after, "rank.dense")
    assert sorted(step.flops.items for step in layers) == sorted(step.flops.items for step in wanted)
    assert sum(step.flops.requests for step in layers) == sum(step.flops.requests for step in wanted) > 0


def test_profile_measures_every_kernel_of_the_plan(saved: pathlib.Path, workload: zoo.Workload, capsys: pytest.CaptureFixture[str]):
    data = ["--user-data", str(workload.folder / "user.arrow"), "--item-data", str(workload.folder / "items.arrow")]
    assert main(["inspect", str(saved), "--plan", "--profile", *data]) == 0
    text = capsys.readouterr().out
    measured = text[text.index("\nmeasured\n") :]
    for step in tvm_rank.load(saved).manifest.kernels:
        assert step["calls"] == 0 or not step["operator"] or str(step["name"]) in measured
    assert "GFLOP/s" in measured
    assert " us a request (R = 1, N = " in measured


@pytest.mark.parametrize(
    "options",
    [
        ["--profile"],
        ["--plan", "--profile"],
        ["--plan", "--item-data", "x.arrow"],
        ["--plan", "--profile", "--json", "--item-data", "x"],
    ],
)
def test_profile_says_what_it_goes_with(saved: pathlib.Path, options: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(saved), *options]) == 2
    assert "--profile goes with --plan and --item-data" in capsys.readouterr().err
