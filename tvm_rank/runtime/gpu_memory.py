"""What of an artifact lies in the memory of the GPU from loading on: tables, what a store computed ahead, and the store's columns.

    columns of the store        [ offsets of a | texts of a | nulls of b | numbers of b ... ]       the buffers of the mapped Arrow file
    words (fields, WORDS)       their descriptors, which lead there; INDEX, the rows of a request's items, is each request's own

Keys and their index stay on the host, which finds the rows of a request before its one copy: 4 bytes an item then travel in place of a key,
nothing of the index takes the GPU's memory, no kernel waits for the search, and missing items need not be copied back.
"""

from __future__ import annotations

import bisect
import pathlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tvm_rank.errors import ArtifactError
from tvm_rank.runtime import cuda, gpu, machine_code
from tvm_rank.runtime.columns import ADDRESSES, WORDS
from tvm_rank.runtime.device_view import DeviceView
from tvm_rank.runtime.item_store import ItemStore
from tvm_rank.runtime.library import CPU, kernel

ALIGN = 256  # bytes
BEHIND = 64  # readable bytes behind the last buffer
HEAP_BYTES = 512 << 20  # from which threads take memory whose size they find out
INDEX = 2  # the word of a descriptor that leads to the rows
LEAST_ADDRESS = 4096  # below it a word is none: 1 says that a map has values, which are no bytes


class Fields(NamedTuple):
    """The item fields of a request: their descriptors (fields, WORDS), zeros for those that the store does not have; and the row in the store
    of each item (N,) int32. is_read: whether the graph reads the rows too."""

    words: np.ndarray
    rows: np.ndarray
    is_read: bool


class OnGpu:
    """`arrays` are tensors there, in the order of `files`. Raises ArtifactError, with the sizes, when it does not fit all together."""

    def __init__(self, library: Any, folder: pathlib.Path, files: Sequence[np.ndarray], store: ItemStore | None):
        buffers = [] if store is None else [(buffer.address, buffer.size) for buffer in store.buffers()]
        columns = _Buffers(buffers)
        values = 0 if store is None else sum(value.nbytes for value in store.values)
        sizes = {"tables": sum(file.nbytes for file in files) - values, "item store": values + (columns.size if store else 0)}
        self._store = store
        with cuda.CAPTURING, cuda.FirstDevice():
            check_room(sizes | _of_kernels(folder) | {"requests": gpu.FIRST_BYTES}, str(folder))
            self.arrays = [gpu.on_device(file) for file in files]
            if store is not None:
                self._words = columns.placed(store.words, str(folder))
                self._columns = columns
                self._find: Callable[..., Any] = kernel(library, "find_rows")
            cuda.Stream().wait()

    def found(self, ids: np.ndarray, count: int) -> Fields:
        """The fields of these items. ids: the descriptor (1, WORDS) of the keys of a request, which has been checked."""
        assert self._store is not None
        rows = np.empty(count, np.int32)
        self._find(ids, self._store.keys, self._store.slots, rows)
        return Fields(self._words, rows, bool(self._store.values))


def _of_kernels(folder: pathlib.Path) -> dict[str, int]:
    """What kernels of the artifact take beside its data: the driver has a stack for each thread that can be there at the same time, of the
    size that the largest kernel wants, and CUDA a heap from the first code on that uses it."""
    code = machine_code.read(folder / "host" / gpu.KERNELS)
    if code.takes_memory and (there := cuda.heap(HEAP_BYTES)) < HEAP_BYTES:
        warnings.warn(
            f"threads of kernels can take {there:,} bytes together, {HEAP_BYTES:,} were wanted: other code that uses the GPU's heap was "
            "loaded before; requests with long values may be refused, load the artifact first",
            RuntimeWarning,
            stacklevel=4,
        )
    return {"heap of kernels": HEAP_BYTES * code.takes_memory, "stacks of kernels": code.stack_bytes * cuda.threads()}


def check_room(sizes: Mapping[str, int], where: str) -> None:
    """Raise ArtifactError unless so many bytes, by what they are for, are free on the GPU."""
    free, total = cuda.memory()
    if (needed := sum(sizes.values())) > free:
        parts = ", ".join(f"{what} {size:,}" for what, size in sizes.items() if size)
        raise ArtifactError(
            f"{where}: needs {needed:,} bytes of the GPU's memory ({parts}), and {free:,} of {total:,} are free; compile it with a smaller "
            "table_precision or less materialized, take a GPU with more memory, or stop what else is using it"
        )


class _Buffers:
    """Pieces of host memory (address, size) and their copies on the device, each at a multiple of ALIGN."""

    def __init__(self, pieces: Sequence[tuple[int, int]]):
        largest: dict[int, int] = {}
        for address, size in pieces:
            largest[address] = max(size, largest.get(address, 0))
        self._pieces = sorted(largest.items())
        self._begins = [address for address, _ in self._pieces]
        self._places, self.size = [], BEHIND
        for _, size in self._pieces:
            self._places.append(self.size - BEHIND)
            self.size += -(-size // ALIGN) * ALIGN

    def placed(self, words: np.ndarray, where: str) -> np.ndarray:
        """Copy the pieces to the device; the descriptors that lead there."""
        self._memory = gpu.empty([self.size], "uint8")
        self._base = int(self._memory.data_ptr())
        for (address, size), place in zip(self._pieces, self._places, strict=True):
            if size:
                views = [
                    DeviceView(begin, (size,), "uint8", kind) for begin, kind in ((address, CPU), (self._base + place, gpu.CUDA))
                ]
                gpu.copy(*(view.tensor for view in views))
        placed = words.copy()
        for word in ADDRESSES:
            placed[:, word] = [self._there(address, where) for address in words[:, word].tolist()]
        assert placed.shape[1] == WORDS
        return placed

    def _there(self, address: int, where: str) -> int:
        if address < LEAST_ADDRESS:
            return address
        k = bisect.bisect_right(self._begins, address) - 1
        if k < 0 or address - self._begins[k] > self._pieces[k][1]:
            raise ArtifactError(
                f"{where}: a column of the item store lies outside of its file; make it again with `tvm-rank refresh`"
            )
        return self._base + self._places[k] + address - self._begins[k]
