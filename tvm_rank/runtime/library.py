"""The compiled code of an artifact."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any

from tvm_rank.artifact import store
from tvm_rank.errors import ArtifactError
from tvm_rank.runtime import tvm_runtime

CPU, POOLED = 1, 2  # DLPack's device type, TVM's pooling allocator


def open_library(folder: pathlib.Path, name: str = store.LIBRARY) -> Any:
    """`model.so` of the artifact in a folder, or another library of it. Raises ArtifactError."""
    tvm_runtime.load()
    import tvm_ffi

    # The dynamic loader takes a path that it knows for the library that it knows, also when the artifact there was replaced. A
    # link of a new name makes it look at the file.
    try:
        with tempfile.TemporaryDirectory() as links:
            link = pathlib.Path(links) / name
            link.symlink_to((folder / name).resolve())
            return tvm_ffi.load_module(str(link))
    except Exception as error:
        raise ArtifactError(f"{folder}: {name} cannot be loaded ({error}); compile the artifact again") from error


def new_machine(library: Any) -> Any:
    """A virtual machine for the functions of a library."""
    machine = library["vm_load_executable"]()
    machine["vm_initialization"](CPU, 0, POOLED)
    return machine


def kernel(library: Any, name: str) -> Any:
    """A kernel of a library by its name, called with destination passing."""
    return library.get_function(name, query_imports=True)
