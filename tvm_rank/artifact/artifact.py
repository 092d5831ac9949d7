"""What `compile` gives: a compiled model that can be saved."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tvm_rank.artifact import store
from tvm_rank.artifact.link import link
from tvm_rank.artifact.manifest import FileEntry, Manifest, StackEntry, StoreEntry
from tvm_rank.artifact.samples import SampleRequests, write_samples

if TYPE_CHECKING:
    import pyarrow as pa

    from tvm_rank.frontend.tables import Stack
    from tvm_rank.plan.steps import Plan


@dataclass(frozen=True, kw_only=True, eq=False)
class Artifact:
    """A compiled model in memory. `save` writes it; `tvm_rank.load` reads what was written. before_kernels: makes the module that its feature
    kernels are built from · store_executable: makes the item store, where the executable is for a GPU."""

    manifest: Manifest
    executable: Any
    stacks: Sequence[Stack]
    tables: Mapping[str, np.ndarray]
    config: str
    host_files: Mapping[str, bytes]
    stages: Mapping[str, str]
    plan: Plan
    items: Mapping[str, pa.Array] | None = None  # of the item store
    samples: SampleRequests | None = None
    before_kernels: Callable[[], Any] | None = None
    store_executable: Any = None

    def save(self, path: str | os.PathLike[str], progress: Callable[[str], None] | None = None) -> None:
        """Write the artifact to the folder `path`, in place of an artifact that is there; with an item store, also make that.

        Raises ArtifactError when something else is there, when no C++ compiler can link the code, or when writing fails; ModelError
        for a table with a number that its precision cannot hold; InputError when the items cannot be stored.
        """
        made: list[StoreEntry] = []
        stacks: list[StackEntry] = []
        say = progress or (lambda _stage: None)

        def fill(folder: pathlib.Path) -> None:
            stacks.extend(self._fill(folder, say))
            if self.items is not None:
                from tvm_rank.items.build import write_store

                made.append(write_store(folder, self.manifest, self.items, say))

        store.write(path, fill, lambda files: self._finish(files, stacks, made))

    def write_library(self, folder: pathlib.Path) -> None:
        """Write the code alone, and that of the store. Raises ArtifactError when no C++ compiler can link it."""
        with _quiet():
            link(self.executable, folder / store.LIBRARY, self.manifest.machine)
            if self.store_executable is not None:
                link(self.store_executable, folder / store.STORE_LIBRARY, self.manifest.machine)

    def _finish(self, files: dict[str, FileEntry], stacks: Sequence[StackEntry], made: Sequence[StoreEntry]) -> Manifest:
        return dataclasses.replace(self.manifest, files=files, stacks=tuple(stacks), store=tuple(made))

    def _fill(self, folder: pathlib.Path, say: Callable[[str], None]) -> list[StackEntry]:
        """Write the files but for the item store; gives the entries of the stacks, now with the errors of their tables."""
        from tvm_rank.frontend.write_stack import write_stack

        self.write_library(folder)
        (folder / store.FEATURES).write_text(self.config, encoding="utf-8")
        (folder / store.PLAN).write_text(self.plan.to_json(), encoding="utf-8")
        if self.host_files:
            (folder / store.HOST).mkdir()
        for name, contents in self.host_files.items():
            (folder / store.HOST / name).write_bytes(contents)
        (folder / store.STAGES).mkdir()
        for name, text in self.stages.items():
            (folder / store.STAGES / f"{name}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        if self.samples is not None:
            write_samples(folder, self.samples)
        (folder / "tables").mkdir()
        written = []
        for stack, entry in zip(self.stacks, self.manifest.stacks, strict=True):
            errors = write_stack(stack, self.tables, folder / entry.file, say)
            tables = {
                name: dataclasses.replace(table, largest_error=errors[name].largest, relative_error=errors[name].relative_rms)
                for name, table in entry.tables.items()
            }
            written.append(dataclasses.replace(entry, tables=tables))
        return written


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TVM's "Saved/Loaded" lines, which C++ writes, out of the user's sight; they are shown when the call fails."""
    with tempfile.TemporaryFile() as caught:
        saved = os.dup(2)
        try:
            os.dup2(caught.fileno(), 2)
            yield
        except BaseException:
            caught.seek(0)
            os.write(saved, caught.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
