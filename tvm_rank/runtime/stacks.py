"""The stacked embedding tables of an artifact, as arrays."""

from __future__ import annotations

import contextlib
import mmap
import pathlib

import numpy as np

from tvm_rank.artifact.manifest import StackEntry
from tvm_rank.errors import ArtifactError

MAPPED, MEMORY = "mapped", "memory"


def open_stack(folder: pathlib.Path, entry: StackEntry, tables: str) -> np.ndarray:
    """The stacked tables of one dim, (rows, dim) float32: the file mapped, or read into memory."""
    wanted = entry.rows * entry.dim * 4
    got = (folder / entry.file).stat().st_size
    if got != wanted:
        raise ArtifactError(f"{folder}: {entry.file} has {got} bytes, wanted {wanted}; compile the artifact again")
    if tables == MAPPED:
        return np.memmap(folder / entry.file, np.float32, mode="c", shape=(entry.rows, entry.dim))
    # private: a shared mapping, which is Python's default, never gets huge pages
    memory = mmap.mmap(-1, max(wanted, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    stack = np.frombuffer(memory, np.float32, entry.rows * entry.dim).reshape(entry.rows, entry.dim)
    with open(folder / entry.file, "rb") as file:
        target, read = stack.reshape(-1).view(np.uint8).data, 0
        while piece := file.readinto(target[read:]):  # one call gives at most 2 GB
            read += piece
    if read != wanted:
        raise ArtifactError(f"{folder}: {entry.file} ended after {read} bytes, wanted {wanted}; compile the artifact again")
    return stack
