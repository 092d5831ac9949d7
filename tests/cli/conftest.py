"""One model, compiled by `tvm-rank compile` itself, for all tests of the command line."""

from __future__ import annotations

import contextlib
import io
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tvm_rank import zoo
from tvm_rank.cli.main import main

REQUESTS, ITEMS = 4, 30


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The zoo's deepfm, its artifact, and what compiling it printed."""

    workload: zoo.Workload
    artifact: pathlib.Path
    compiled: Done

    @property
    def files(self) -> list[str]:
        """The options of `run` that name the workload's files."""
        return [str(self.artifact), "--user", str(self.workload.user), "--items", str(self.workload.items)]


def call(*arguments: object) -> Done:
    """`tvm-rank arguments`, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    return Done(status=status, out=out.getvalue(), err=err.getvalue())


@pytest.fixture(scope="session")
def tvm_rank_command() -> Callable[..., Done]:
    """`tvm_rank_command("inspect", path)` runs the command in this process."""
    return call


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The compiled model; not to be changed."""
    folder = tmp_path_factory.mktemp("shop")
    workload = zoo.build("deepfm", folder, requests=REQUESTS, items=ITEMS)
    artifact = folder / "artifact"
    named = ["--features", workload.features, "--model", workload.model, "--tables", workload.tables]
    compiled = call("compile", *named, "--out", artifact)
    assert compiled.status == 0, compiled.err
    return Shop(workload=workload, artifact=artifact, compiled=compiled)
