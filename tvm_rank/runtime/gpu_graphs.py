"""CUDA graphs of requests: what the kernels of a request of R users and N items were launched with, launched again as one thing.

Everything in a graph is at a fixed address. The request lies in the machine's memory, at places that depend on R and N alone; constants,
tables and the item store stay where they are; memory between kernels, and that of the results, belongs to the graph for as long as it lives,
and the scores are copied into pinned memory of its own. When the memory of requests grows, its address changes, and all graphs are forgotten.

Memory between kernels comes from the virtual machine alone (`relay_passes/lift_workspace.py`), which takes back what nobody holds: a graph
holds all that was given while it was made.
"""

from __future__ import annotations

import collections
import ctypes
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tvm_rank.runtime.cuda import CAPTURING, Capture, Graph, Stream

KEPT = 16  # graphs of a machine
WATCHED = 64  # shapes whose requests are counted
IDLE = 256  # requests without a graph, behind which another may have its place
CAPTURED_AT = 3  # the request of a shape that becomes a graph
MOST_FAILURES = 3  # one behind the other, of making a graph: others may wait for the whole device meanwhile, which ends it
_ALLOCATION = "vm.builtin.alloc_storage"
Shape = tuple[int, int]  # R, N


class Results:
    """Pinned memory for the results of a request. empty: makes a piece of it of so many bytes."""

    def __init__(self, empty: Callable[[int], Any]):
        self._empty, self._size = empty, 0
        self._parts: list[tuple[int, tuple[int, ...], np.dtype]] = []

    def ask(self, tensors: Sequence[Any], stream: Stream) -> None:
        """Let the stream copy these tensors of the device here."""
        self._parts, end, sources = [], 0, []
        for tensor in tensors:
            shape, dtype = tuple(map(int, tensor.shape)), np.dtype(str(tensor.dtype))
            self._parts.append((end, shape, dtype))
            sources.append((int(tensor.data_ptr()), size := dtype.itemsize * int(np.prod(shape, dtype=np.int64))))
            end += -(-size // 64) * 64
        if end > self._size:
            self._memory, self._size = self._empty(2 * end), 2 * end
            self._bytes = np.ctypeslib.as_array((ctypes.c_uint8 * self._size).from_address(int(self._memory.data_ptr())))
        for (place, _, _), (source, size) in zip(self._parts, sources, strict=True):
            if size:
                stream.to_host(int(self._memory.data_ptr()) + place, source, size)

    def arrays(self) -> list[np.ndarray]:
        """Copies of what was asked for, when the stream has done it."""
        count = [int(np.prod(shape, dtype=np.int64)) for _, shape, _ in self._parts]
        return [
            np.frombuffer(self._bytes, dtype, n, place).reshape(shape).copy()
            for n, (place, shape, dtype) in zip(count, self._parts, strict=True)
        ]


class Captured:
    """A graph, the results that it leaves, and the memory that it uses; when it was used last."""

    def __init__(self, graph: Graph, results: Results, memory: list[Any]):
        self._graph, self._results, self.memory = graph, results, memory
        self.used = 0

    def run(self, stream: Stream) -> list[np.ndarray]:
        """What the kernels give for the request that the memory of requests has now."""
        self._graph.launch(stream)
        stream.wait()
        return self._results.arrays()


class Graphs:
    """The graphs of one machine, those used last. set_hook: makes the virtual machine call a function before and after each of its
    instructions, or nothing (None)."""

    def __init__(self, empty: Callable[[int], Any], set_hook: Callable[[Any], None], *, is_on: bool):
        self._empty, self._set_hook, self.is_on = empty, set_hook, is_on
        self._graphs: collections.OrderedDict[Shape, Captured] = collections.OrderedDict()
        self._seen: collections.OrderedDict[Shape, int] = collections.OrderedDict()
        self._number = 0  # of requests
        self._failures = 0

    def clear(self) -> None:
        """Forget all: what they read has moved."""
        self._graphs.clear()

    def of(self, shape: Shape, call: Callable[[Stream], Sequence[Any]]) -> Captured | None:
        """The graph of a shape; None until enough requests have had it, or where none can be made. call: launches the kernels on a
        stream, gives the results."""
        if not self.is_on:
            return None
        self._number += 1
        if (found := self._graphs.get(shape)) is not None:
            self._graphs.move_to_end(shape)
            found.used = self._number
            return found
        self._seen[shape] = seen = self._seen.pop(shape, 0) + 1
        if len(self._seen) > WATCHED:
            self._seen.popitem(last=False)
        if seen < CAPTURED_AT or not self._has_room():
            return None
        try:
            found = self._captured(call)
        except Exception as error:  # whatever it is, the kernels can be launched one by one, and say it again if it is theirs
            self._failed(shape, error)
            return None
        self._graphs[shape], found.used, self._failures = found, self._number, 0
        return found

    def _failed(self, shape: Shape, error: Exception) -> None:
        """Try it again when the shape was seen as often once more, but not for ever."""
        self._seen[shape] = 0
        self._failures += 1
        if self._failures == MOST_FAILURES:
            warnings.warn(
                f"no CUDA graph can be made of a request ({error}); kernels are launched one by one", RuntimeWarning, stacklevel=3
            )
            self.is_on = False
            self.clear()

    def _has_room(self) -> bool:
        """Whether there may be one more; the oldest makes place when it was idle for long, so that shapes in turn do not chase each other."""
        if len(self._graphs) < KEPT:
            return True
        shape, oldest = next(iter(self._graphs.items()))
        if self._number - oldest.used < IDLE:
            return False
        del self._graphs[shape]
        return True

    def _captured(self, call: Callable[[Stream], Sequence[Any]]) -> Captured:
        memory: list[Any] = []

        def keep(_function: Any, name: str, before: bool, result: Any, *_arguments: Any) -> int:
            if not before and str(name) == _ALLOCATION:
                memory.append(result)
            return 0

        with CAPTURING:
            results, capture = Results(self._empty), Capture()
            self._set_hook(keep)
            try:
                results.ask(call(capture), capture)
            except BaseException:
                capture.give_up()
                raise
            finally:
                self._set_hook(None)
            return Captured(capture.end(), results, memory)
