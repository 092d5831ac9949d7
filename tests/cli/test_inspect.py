"""`tvm-rank inspect`."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tvm_rank.artifact import store
from tvm_rank.cli.inspect import STAGES
from tvm_rank.config.types import FEATURE_TYPES


def test_the_summary_says_what_goes_in_and_what_comes_out(tvm_rank_command: Callable[..., Any], shop: Any):
    text = tvm_rank_command("inspect", shop.artifact).out
    manifest = store.read(shop.artifact)
    parts = [part.splitlines()[0].split("  ")[0] for part in text.split("\n\n")]
    assert parts == ["artifact", "inputs", "outputs", "tables", "column groups", "kernels", "files"]
    assert f"schema {manifest.schema}" in text
    assert all(flag in text for flag in manifest.needs)
    for use in (*manifest.request_fields, *manifest.item_fields):
        assert re.search(rf"^  {use.side} +{use.name} +.*\b{use.role}\b", text, re.MULTILINE)
    assert re.search(r"^  score  float32  \(N, 1\)$", text, re.MULTILINE)
    for group in manifest.groups:
        assert group["kernel"] in text
    for kernel in manifest.kernels:
        assert re.search(rf"^  {kernel['name']} +({kernel['operator']}|-) +{kernel['calls']}$", text, re.MULTILINE)
    for name in manifest.files:
        assert f"  {name} " in text


def test_tables_are_listed_with_their_rows(tvm_rank_command: Callable[..., Any], shop: Any):
    text = tvm_rank_command("inspect", shop.artifact).out
    for name, table in shop.workload.read_tables().items():
        rows, dim = table.shape
        assert re.search(rf"^  {name} +{rows:,} +{dim} ", text, re.MULTILINE)


def test_json_is_the_manifest(tvm_rank_command: Callable[..., Any], shop: Any):
    done = tvm_rank_command("inspect", shop.artifact, "--json")
    assert json.loads(done.out) == json.loads((shop.artifact / store.MANIFEST).read_text(encoding="utf-8"))


STAGE_HOLDS = {
    "import": "rank.lookup",
    "inline": "rank.lookup",
    "graph": "R.call_tir(",
    "legalize": "R.call_tir(",
    "fuse": "fused_",
    "lower": "vm.",
    "llvm": "define ",
    "asm": ".text",
}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_can_be_printed(tvm_rank_command: Callable[..., Any], shop: Any, stage: str):
    done = tvm_rank_command("inspect", shop.artifact, "--stage", stage)
    assert done.status == 0
    assert STAGE_HOLDS[stage] in done.out


def test_stages_are_listed_in_their_order(tvm_rank_command: Callable[..., Any], shop: Any):
    assert tvm_rank_command("inspect", shop.artifact, "--stage", "all").out.split() == list(STAGES)


@pytest.mark.parametrize("name", ["nonsense", "", "../manifest", "Graph"])
def test_an_unknown_stage_is_refused_with_those_there_are(tvm_rank_command: Callable[..., Any], shop: Any, name: str):
    done = tvm_rank_command("inspect", shop.artifact, f"--stage={name}")
    if name:
        assert done.status == 1
        assert f"has no stage {name!r}; it has {', '.join(STAGES)}" in done.err
    else:  # an empty option is none
        assert done.status == 0


def test_the_artifact_of_another_machine_can_be_inspected(
    tvm_rank_command: Callable[..., Any], shop: Any, monkeypatch: pytest.MonkeyPatch
):
    import platform

    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert tvm_rank_command("inspect", shop.artifact).status == 0
    assert "this machine is riscv64" in tvm_rank_command("run", *shop.files).err


def test_a_damaged_stage_is_an_error(tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path):
    copy = shutil.copytree(shop.artifact, tmp_path / "copy")
    data = bytearray((copy / "stages/graph.gz").read_bytes())
    data[len(data) // 2] ^= 255
    (copy / "stages/graph.gz").write_bytes(data)
    done = tvm_rank_command("inspect", copy, "--stage", "graph")
    assert done.status == 1
    assert "stages/graph.gz: damaged" in done.err


def test_ops_lists_operators_and_feature_types(tvm_rank_command: Callable[..., Any]):
    done = tvm_rank_command("inspect", "--ops")
    assert done.status == 0
    for name in ("Gemm", "MatMul", "Sigmoid", "id_feature", "overlap_feature"):
        assert f"  {name}\n" in done.out
    listed = json.loads(tvm_rank_command("inspect", "--ops", "--json").out)
    assert listed["features"] == list(FEATURE_TYPES)
    assert listed["onnx"] == sorted(listed["onnx"])
    assert len(listed["onnx"]) > 100
