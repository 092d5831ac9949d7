"""Code for another machine: it compiles here, is linked where a compiler for it is, and is refused where it cannot run."""

from __future__ import annotations

import dataclasses
import pathlib
import platform
import shutil

import pytest
from two_columns import DIM, TABLE, bucket, config, number, product

import tvm_rank
from tvm_rank.artifact.manifest import Manifest

FEATURES = config(bucket("level", "item:level"), number("price", "item:price"))
MODEL = product(["level", "price"], [DIM, 1])

pytestmark = pytest.mark.skipif(platform.machine() == "aarch64", reason="aarch64 is this machine")


class Linked:
    """Stands in for an executable that a cross compiler linked."""

    def export_library(self, file: str) -> None:
        """Write something; loading must not come so far as to read it."""
        pathlib.Path(file).write_bytes(b"\x7fELF")


@pytest.fixture(scope="module")
def artifact() -> tvm_rank.Artifact:
    """A small model for aarch64."""
    return tvm_rank.compile(features=FEATURES, model=MODEL, tables={"level": TABLE}, target="aarch64")


def test_code_for_another_machine_is_generated(artifact: tvm_rank.Artifact):
    assert (artifact.manifest.machine, artifact.manifest.needs) == ("aarch64", ("asimd",))
    assert artifact.executable is not None


@pytest.mark.skipif(shutil.which("g++") is None, reason="the message is that of g++")
def test_without_a_compiler_for_that_machine_the_error_says_what_to_set(artifact: tvm_rank.Artifact, tmp_path: pathlib.Path):
    with pytest.raises(tvm_rank.ArtifactError, match=r"model.so: .*cannot link code for aarch64; set CXX to a compiler for it"):
        artifact.save(tmp_path / "artifact")
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_for_another_machine_is_refused_at_loading(artifact: tvm_rank.Artifact, tmp_path: pathlib.Path):
    dataclasses.replace(artifact, executable=Linked()).save(tmp_path / "artifact")
    with pytest.raises(
        tvm_rank.ArtifactError, match=rf"compiled for aarch64 .*this machine is {platform.machine()}; compile it for this machine"
    ):
        tvm_rank.load(tmp_path / "artifact")


def test_the_manifest_of_another_machine_can_be_read_here(artifact: tvm_rank.Artifact):
    again = Manifest.from_json(artifact.manifest.to_json(), "here")
    assert again.target == "aarch64"
    assert again == artifact.manifest


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the code must run here")
def test_an_artifact_for_older_machines_is_proved_on_this_one(tmp_path: pathlib.Path):
    made = tvm_rank.compile(features=FEATURES, model=MODEL, tables={"level": TABLE}, target="x86-64-v3")
    made.save(tmp_path / "artifact")
    report = tvm_rank.check(tmp_path / "artifact", rounds=1)
    assert (report.ok, report.target, report.items) == (True, "x86-64-v3", 16)
