"""Ranking without the virtual machine, by `rank_direct` of the artifact's library (`relay_passes/add_direct_entry.py`).

Nothing that it is given is checked, so it is used only for what the virtual machine has ranked before with the same tensors: the first
request of a schema goes through the machine, which checks every extent. Columns are checked by the same kernels in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tvm_rank.runtime.library import kernel
from tvm_rank.runtime.row_map import ALIGNMENT, Rows

FUNCTION, CONSTANTS = "rank_direct", "rank_constants"


class Output:
    """Memory for one result, which grows with the number of items. shape: as the manifest has it, N and numbers."""

    def __init__(self, shape: Sequence[int | str], dtype: str):
        self._shape = [None if extent == "N" else int(extent) for extent in shape]
        self._room: np.ndarray = np.empty(0, dtype)
        self.view: np.ndarray = self._room

    def shape(self, items: int) -> tuple[int, ...]:
        """The result's for so many items."""
        return tuple(items if extent is None else extent for extent in self._shape)

    def reserve(self, items: int) -> int:
        """The address of memory for so many items, of which `view` is an array then."""
        shape = self.shape(items)
        size = math.prod(shape)
        if self._room.size < size:
            memory = np.empty(2 * size * self._room.itemsize + ALIGNMENT, np.uint8)
            begin = -memory.ctypes.data % ALIGNMENT
            self._room = memory[begin : begin + 2 * size * self._room.itemsize].view(self._room.dtype)
        self.view = self._room[:size].reshape(shape)
        return self._room.ctypes.data


class Direct:
    """The words of one machine's requests. outputs: the results, the last one the vector of statuses."""

    def __init__(self, function: Callable[[int], Any], constants: Sequence[Any], outputs: Sequence[Output]):
        self._function, self._constants, self._outputs = function, constants, outputs
        self._words = np.zeros(0, np.int64)
        self._plans: Any = None
        self._items = 0

    @classmethod
    def of(cls, library: Any, machine: Any, outputs: Sequence[Output]) -> Direct | None:
        """For a library and one of its virtual machines; None for a library that has no such function."""
        try:
            return cls(kernel(library, FUNCTION), [*machine[CONSTANTS]()], outputs)
        except AttributeError:
            return None

    def is_ready(self, plans: Any) -> bool:
        """Whether `prepare` was called with these plans."""
        return self._plans is plans

    def prepare(self, sources: Any, plans: Sequence[Any], rows: Rows, arrays: Sequence[Any], results: Sequence[np.ndarray]) -> bool:
        """Take over the tensors with which the machine gave `results` for `rows`. False, and not ready, if its own have other shapes."""
        if [output.shape(rows.items) for output in self._outputs] != [result.shape for result in results]:
            return False
        words = _words([sources, *plans])
        self._rows_at = len(words)
        words += [rows.requests, rows.items, 0, rows.items, *_words(arrays)]
        self._outputs_at = len(words)
        words += [0] * len(self._outputs) + [int(constant.data_ptr()) for constant in self._constants]
        self._words, self._items = np.array(words, np.int64), 0
        self._address, self._keep, self._plans = self._words.ctypes.data, (sources, arrays), plans
        return True

    def run(self, rows: Rows) -> list[np.ndarray]:
        """The results."""
        words, at = self._words, self._rows_at
        if rows.items != self._items:
            for k, output in enumerate(self._outputs):
                words[self._outputs_at + k] = output.reserve(rows.items)
            self._items = rows.items
        words[at : at + 4] = (rows.requests, rows.items, rows.address, rows.items)
        self._function(self._address)
        return [output.view.copy() for output in self._outputs]


def _words(tensors: Sequence[Any]) -> list[int]:
    """The address and the extents of each."""
    return [word for tensor in tensors for word in (int(tensor.data_ptr()), *map(int, tensor.shape))]
