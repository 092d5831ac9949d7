"""The front door: help, exit statuses, what goes to stderr, and interruptions."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import tvm_rank
from tvm_rank import zoo
from tvm_rank.cli import inspect as inspect_verb
from tvm_rank.cli.main import VERBS
from tvm_rank.errors import ArtifactError

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_teaches_with_examples(tvm_rank_command: Callable[..., Any], golden: Callable[[str, str], None], verb: str):
    done = tvm_rank_command(*filter(None, [verb]), "--help")
    assert done.status == 0
    assert "examples:\n  tvm-rank " in done.out
    assert max(map(len, done.out.splitlines())) <= 110
    golden(f"help_{verb or 'tvm_rank'}.txt", done.out)


def test_version_is_that_of_the_package(tvm_rank_command: Callable[..., Any]):
    done = tvm_rank_command("--version")
    assert (done.status, done.out) == (0, f"tvm-rank {tvm_rank.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: VERB"),
        (["transmogrify"], "invalid choice: 'transmogrify'"),
        (["compile", "--features", "fg.json"], "the following arguments are required: --model, --out"),
        (["compile", "--features", "a", "--model", "b", "--out", "c", "--hash-function", "md5"], "invalid choice: 'md5'"),
        (["run", "artifact"], "the following arguments are required: --items"),
        (["run", "a", "--items", "b", "--threads", "0"], "'0' is not a whole number of at least 1"),
        (["run", "a", "--items", "b", "--top", "-1"], "--top"),
        (["run", "a", "--items", "b", "--repeat", "many"], "'many' is not a whole number"),
        (["run", "a", "--items", "b", "--out", "scores.txt"], "give a file that ends in .npy, .parquet, .arrow, .csv"),
        (["inspect"], "give an ARTIFACT, or --ops"),
        (["inspect", "a", "--ops"], "give an ARTIFACT, or --ops"),
        (["inspect", "a", "--stage", "graph", "--json"], "--stage goes with an ARTIFACT alone"),
    ],
)
def test_wrong_usage_is_status_2(tvm_rank_command: Callable[..., Any], arguments: list[str], message: str):
    done = tvm_rank_command(*arguments)
    assert done.status == 2
    assert "usage: tvm-rank" in done.err
    assert message in done.err
    assert done.out == ""


def test_a_known_error_is_status_1_with_its_message_alone(tvm_rank_command: Callable[..., Any], tmp_path: pathlib.Path):
    done = tvm_rank_command("inspect", tmp_path / "nothing")
    assert done.status == 1
    assert done.err == f"tvm-rank: {tmp_path}/nothing: does not exist; give the folder that `tvm-rank compile` wrote\n"
    assert done.out == ""


def _raises(error: BaseException) -> Callable[..., int]:
    def run(_args: Any) -> int:
        raise error

    return run


def test_each_kind_of_end_has_its_status(tvm_rank_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inspect_verb, "run", _raises(KeyboardInterrupt()))
    done = tvm_rank_command("inspect", "a")
    assert (done.status, done.err) == (130, "tvm-rank: interrupted\n")
    monkeypatch.setattr(inspect_verb, "run", _raises(ArtifactError("a: damaged")))
    assert tvm_rank_command("inspect", "a").err == "tvm-rank: a: damaged\n"
    monkeypatch.setattr(inspect_verb, "run", _raises(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):  # a bug keeps its traceback
        tvm_rank_command("inspect", "a")


def command(*arguments: object, **options: Any) -> subprocess.Popen:
    """`python -m tvm_rank arguments`, started."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "tvm_rank", *map(str, arguments)]
    return subprocess.Popen(words, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_the_command_runs_as_a_process(shop: Any, tmp_path: pathlib.Path):
    process = command("run", *shop.files, "--top", "1", "--out", tmp_path / "scores.csv")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "ranked 120 items of 4 requests" in out
    assert (tmp_path / "scores.csv").read_text().startswith('"score"\n0.')


def test_a_reader_that_goes_away_is_no_error(shop: Any):
    process = command("inspect", shop.artifact, "--stage", "llvm")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""


def test_an_interrupted_compile_leaves_nothing(tmp_path: pathlib.Path):
    workload = zoo.build("deepfm", tmp_path)
    before = sorted(os.listdir(tmp_path))
    named = ["--features", workload.features, "--model", workload.model, "--tables", workload.tables]
    process = command("compile", *named, "--out", tmp_path / "artifact")
    assert process.stderr is not None
    for line in process.stderr:
        if "running passes" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.endswith("tvm-rank: interrupted\n")
    assert "Traceback" not in err
    assert sorted(os.listdir(tmp_path)) == before
