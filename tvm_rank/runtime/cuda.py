"""NVIDIA's runtime library, as far as an engine calls it itself: streams, copies on them, and graphs of what a stream was given."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from tvm_rank.errors import RankError

RUNTIME = "libcudart.so.13"
_TO_DEVICE, _TO_HOST = 1, 2  # cudaMemcpyKind
_NON_BLOCKING = 1  # cudaStreamNonBlocking: others may use the default stream meanwhile
_RELAXED = 2  # cudaStreamCaptureModeRelaxed: memory may be allocated meanwhile, here and by other threads
_pointer, _size = ctypes.c_void_p, ctypes.c_size_t
_ARGUMENTS: dict[str, list[Any]] = {
    "cudaStreamCreateWithFlags": [_pointer, ctypes.c_uint],
    "cudaStreamDestroy": [_pointer],
    "cudaStreamSynchronize": [_pointer],
    "cudaMemcpyAsync": [_pointer, _pointer, _size, ctypes.c_int, _pointer],
    "cudaStreamBeginCapture": [_pointer, ctypes.c_int],
    "cudaStreamEndCapture": [_pointer, _pointer],
    "cudaGraphInstantiate": [_pointer, _pointer, ctypes.c_ulonglong],
    "cudaGraphLaunch": [_pointer, _pointer],
    "cudaGraphDestroy": [_pointer],
    "cudaGraphExecDestroy": [_pointer],
    "cudaDeviceSynchronize": [],
    "cudaDeviceSetLimit": [ctypes.c_int, _size],
    "cudaMemGetInfo": [_pointer, _pointer],
}


@functools.cache
def library() -> Any:
    """The library, which `tvm_runtime.load_cuda` has loaded. Raises OSError where there is none."""
    found = ctypes.CDLL(RUNTIME)
    for name, arguments in _ARGUMENTS.items():
        getattr(found, name).argtypes = arguments
    found.cudaGetErrorString.restype = ctypes.c_char_p
    return found


def must(status: int, what: str) -> None:
    """Raise RankError unless a call of the library succeeded."""
    if status != 0:
        text = library().cudaGetErrorString(status)
        library().cudaGetLastError()  # which forgets it
        raise RankError(f"the GPU cannot {what}: {text.decode(errors='replace') if text else ''} (error {status} of CUDA)")


def wait() -> None:
    """Until the device has done all that it was given. Raises RankError for an error of a kernel."""
    must(library().cudaDeviceSynchronize(), "go on")


def memory() -> tuple[int, int]:
    """Bytes of the device that are free, and all."""
    free, total = _size(), _size()
    must(library().cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)), "say what memory it has")
    return free.value, total.value


class Stream:
    """The default stream, on which all work of this process is done in order: memory that TVM's pool takes back from one call is used by the
    next one behind it, also by that of another thread. `handle` is its number."""

    handle = 0

    def __init__(self) -> None:
        self._library = library()

    def to_device(self, to: int, source: int, size: int) -> None:
        """Copy bytes of pinned memory to an address of the device."""
        must(self._library.cudaMemcpyAsync(to, source, size, _TO_DEVICE, self.handle), "take a copy")

    def to_host(self, to: int, source: int, size: int) -> None:
        """Copy bytes of the device into pinned memory, which has them after `wait`."""
        must(self._library.cudaMemcpyAsync(to, source, size, _TO_HOST, self.handle), "give a copy")

    def wait(self) -> None:
        """Until all is done. Raises RankError for an error of a kernel."""
        must(self._library.cudaStreamSynchronize(self.handle), "go on")


class Capture(Stream):
    """A stream of its own that does nothing, and remembers what it is given, from here on until `end` or `give_up`."""

    def __init__(self) -> None:
        super().__init__()
        made = _pointer()
        must(self._library.cudaStreamCreateWithFlags(ctypes.byref(made), _NON_BLOCKING), "make a stream")
        self.handle = int(made.value or 0)
        must(self._library.cudaStreamBeginCapture(self.handle, _RELAXED), "begin a graph")

    def __del__(self) -> None:
        if self.handle:
            self._library.cudaStreamDestroy(self.handle)

    def end(self) -> Graph:
        """What was remembered. Raises RankError when something among it cannot be."""
        graph = _pointer()
        must(self._library.cudaStreamEndCapture(self.handle, ctypes.byref(graph)), "end a graph")
        return Graph(graph)

    def give_up(self) -> None:
        """As `end`, but nothing is made of it."""
        graph = _pointer()
        if self._library.cudaStreamEndCapture(self.handle, ctypes.byref(graph)) == 0:
            self._library.cudaGraphDestroy(graph)
        self._library.cudaGetLastError()


class Graph:
    """Work that a stream does when it is told so, the same every time: its addresses must stay what they are."""

    def __init__(self, graph: ctypes.c_void_p):
        self._library, self._made = library(), _pointer()
        try:
            must(self._library.cudaGraphInstantiate(ctypes.byref(self._made), graph, 0), "make a graph")
        finally:
            self._library.cudaGraphDestroy(graph)

    def __del__(self) -> None:
        if self._made:
            self._library.cudaGraphExecDestroy(self._made)

    def launch(self, stream: Stream) -> None:
        """Do it all, behind what the stream was given before."""
        must(self._library.cudaGraphLaunch(self._made, stream.handle), "launch a graph")
