"""One compiled model for all tests of this folder; each test that damages an artifact works on a copy."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil

import pytest
import small_model

import tvm_rank


@pytest.fixture(scope="session")
def artifact() -> tvm_rank.Artifact:
    """The small model, compiled, in memory."""
    return tvm_rank.compile(features=small_model.features(), model=small_model.model(), tables=small_model.tables())


@pytest.fixture(scope="session")
def saved(artifact: tvm_rank.Artifact, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The small model as a folder; not to be changed."""
    path = tmp_path_factory.mktemp("saved") / "artifact"
    artifact.save(path)
    return path


class Linked:
    """Stands in for an executable: TVM would generate the code again, for seconds, each time that it is exported."""

    def __init__(self, library: pathlib.Path):
        self.library = library

    def export_library(self, file: str) -> None:
        """Write the library that was generated before."""
        shutil.copyfile(self.library, file)


@pytest.fixture(scope="session")
def quick(artifact: tvm_rank.Artifact, saved: pathlib.Path) -> tvm_rank.Artifact:
    """The small model in memory, whose code is not generated again by `save`."""
    return dataclasses.replace(artifact, executable=Linked(saved / "model.so"))


@pytest.fixture
def copy(saved: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the folder, for a test to damage."""
    return shutil.copytree(saved, tmp_path / "copy")


@pytest.fixture(scope="session")
def engine(saved: pathlib.Path) -> tvm_rank.Engine:
    """The small model, loaded."""
    return tvm_rank.load(saved)
