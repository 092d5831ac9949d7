"""`tvm-rank compile`."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tvm_rank import compiler
from tvm_rank.artifact import store
from tvm_rank.errors import ConfigError, RankError

MAIN_STAGES = ("building the graph", "running passes", "generating code", "writing the artifact")


def test_stages_go_to_stderr_with_their_times_and_the_summary_to_stdout(shop: Any):
    stages = re.findall(r"^\[ *(\d+\.\d) s\] (.+)$", shop.compiled.err, re.MULTILINE)
    names = [name for _, name in stages]
    assert [name for name in names if name in MAIN_STAGES] == list(MAIN_STAGES)
    assert names[0].startswith("reading")
    assert [float(seconds) for seconds, _ in stages] == sorted(float(seconds) for seconds, _ in stages)
    assert re.search(r"^target     cpu \(\w+: ", shop.compiled.out)
    assert re.search(
        r"^features   22 used, 0 unused\ntables     12, 372\.\d kB\n", shop.compiled.out, re.MULTILINE
    )  # 1 of the model
    assert re.search(r"^kernels    \d+, for \d+ column groups$", shop.compiled.out, re.MULTILINE)
    assert re.search(r"^compiled   in \d+\.\d s, \d+\.\d s with writing$", shop.compiled.out, re.MULTILINE)
    assert re.search(rf"^artifact   {re.escape(str(shop.artifact))}, \d+\.\d MB$", shop.compiled.out, re.MULTILINE)


@pytest.fixture
def compiled_before(shop: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The compiler gives the shop's artifact at once, with unused features; its calls."""
    calls: list[dict[str, Any]] = []
    manifest = dataclasses.replace(store.read(shop.artifact), unused_features=("age", "hour"))

    class Artifact:
        def __init__(self) -> None:
            self.manifest = manifest

        def save(self, path: str, _progress: Callable[[str], None]) -> None:
            shutil.copytree(shop.artifact, path)

    def compile(**options: Any) -> Artifact:
        calls.append(options)
        options["progress"]("a stage")
        return Artifact()

    monkeypatch.setattr(compiler, "compile", compile)
    return calls


def test_every_option_reaches_the_compiler(tvm_rank_command: Callable[..., Any], compiled_before: list, tmp_path: pathlib.Path):
    options = {
        "features": "fg.json",
        "model": "m.onnx",
        "tables": "t",
        "target": "x86-64-v3",
        "hash_function": "std",
        "base_dir": "b",
    }
    flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
    assert tvm_rank_command("compile", *flags, "--out", tmp_path / "out").status == 0
    (call,) = compiled_before
    assert {name: call[name] for name in options} == options


def test_options_that_are_left_out_leave_it_to_the_compiler(
    tvm_rank_command: Callable[..., Any], compiled_before: list, tmp_path: pathlib.Path
):
    assert tvm_rank_command("compile", "--features", "f", "--model", "m", "--out", tmp_path / "out").status == 0
    call = compiled_before[0]
    assert (call["tables"], call["target"], call["hash_function"], call["base_dir"]) == (None, "cpu", None, None)


def test_quiet_prints_warnings_only(tvm_rank_command: Callable[..., Any], compiled_before: list, tmp_path: pathlib.Path):
    done = tvm_rank_command("compile", "--features", "f", "--model", "m", "--out", tmp_path / "out", "--quiet")
    assert done.out == ""
    assert done.err == "warning: 2 features feed no input of the model: age, hour\n"
    assert len(compiled_before) == 1


def test_something_else_at_out_is_refused_before_the_work(
    tvm_rank_command: Callable[..., Any], compiled_before: list, tmp_path: pathlib.Path
):
    done = tvm_rank_command("compile", "--features", "f", "--model", "m", "--out", tmp_path)
    assert done.status == 1
    assert "exists and is not an artifact" in done.err
    assert compiled_before == []


def test_a_wrong_file_is_reported_with_all_its_problems(tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path):
    wrong = tmp_path / "fg.json"
    wrong.write_text('{"features": [{"feature_name": "a", "feature_type": "id_featur"}, {"feature_type": "raw_feature"}]}')
    done = tvm_rank_command("compile", "--features", wrong, "--model", shop.workload.model, "--out", tmp_path / "out")
    assert done.status == 1
    assert "did you mean 'id_feature'" in done.err
    assert done.err.count("\n  ") >= 2
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["features", "model", "tables"])
def test_a_missing_file_is_named(tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path, name: str):
    files = {"features": shop.workload.features, "model": shop.workload.model, "tables": shop.workload.tables}
    files[name] = tmp_path / "missing" / "file.onnx"
    flags = [word for key, path in files.items() for word in (f"--{key}", path)]
    done = tvm_rank_command("compile", *flags, "--out", tmp_path / "out")
    assert done.status == 1
    assert str(files[name]) in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == []


def test_an_unknown_target_is_refused_with_those_there_are(tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path):
    named = ["--features", shop.workload.features, "--model", shop.workload.model, "--tables", shop.workload.tables]
    done = tvm_rank_command("compile", *named, "--target", "abacus", "--out", tmp_path / "out")
    assert done.status == 1
    assert "'abacus'" in done.err
    assert "x86-64-v3" in done.err


def test_the_error_of_a_configuration_is_one_of_the_known_errors():
    assert issubclass(ConfigError, RankError)
