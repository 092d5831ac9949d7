"""Files of numbers of an artifact, as arrays: stacked embedding tables, values of an item store."""

from __future__ import annotations

import contextlib
import math
import mmap
import pathlib

import numpy as np

from tvm_rank.artifact.manifest import StackEntry
from tvm_rank.errors import ArtifactError
from tvm_rank.ops.table_rows import FP32, PAD_BYTES

MAPPED, MEMORY = "mapped", "memory"


def open_stack(folder: pathlib.Path, entry: StackEntry, tables: str) -> np.ndarray:
    """The stacked tables of one dim and precision: the file mapped, or read into memory. fp32: float32 (rows, dim), else uint8 (rows, row
    bytes), with readable bytes behind the last row."""
    if entry.precision == FP32:
        return open_array(folder, entry.file, (entry.rows, entry.dim), "float32", tables)
    size = entry.rows * entry.row_bytes
    return open_array(folder, entry.file, (size + PAD_BYTES,), "uint8", tables)[:size].reshape(entry.rows, entry.row_bytes)


def open_array(folder: pathlib.Path, name: str, shape: tuple[int, ...], dtype: str, tables: str) -> np.ndarray:
    """A file of numbers, mapped or read into memory. Raises ArtifactError when it has another size."""
    wanted = math.prod(shape) * np.dtype(dtype).itemsize
    got = (folder / name).stat().st_size
    if got != wanted:
        raise ArtifactError(f"{folder}: {name} has {got} bytes, wanted {wanted}; compile the artifact again")
    if tables == MAPPED and wanted:
        return np.memmap(folder / name, dtype, mode="c", shape=shape)
    # private: a shared mapping, which is Python's default, never gets huge pages
    memory = mmap.mmap(-1, max(wanted, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    stack = np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)
    with open(folder / name, "rb") as file:
        target, read = stack.reshape(-1).view(np.uint8).data, 0
        while piece := file.readinto(target[read:]):  # one call gives at most 2 GB
            read += piece
    if read != wanted:
        raise ArtifactError(f"{folder}: {name} ended after {read} bytes, wanted {wanted}; compile the artifact again")
    return stack
