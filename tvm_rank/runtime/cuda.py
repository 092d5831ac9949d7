"""NVIDIA's runtime library, as far as an engine calls it itself: the device, streams, copies on them, and graphs of what a stream was given."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from typing import Any

from tvm_rank.errors import RankError

RUNTIME = "libcudart.so.13"
_TO_DEVICE, _TO_HOST = 1, 2  # cudaMemcpyKind
_NON_BLOCKING = 1  # cudaStreamNonBlocking: others may use the default stream meanwhile
_RELAXED = 2  # cudaStreamCaptureModeRelaxed: memory may be allocated meanwhile, here and by other threads
_MAJOR, _MINOR, _PROCESSORS, _THREADS = (
    75,
    76,
    16,
    39,
)  # cudaDevAttr: ComputeCapability*, MultiProcessorCount, MaxThreadsPerMultiProcessor
_HEAP = 2  # cudaLimitMallocHeapSize
_LOST = frozenset({700, 702, 709, 710, *range(714, 720)})  # errors of kernels, behind which CUDA refuses everything to this process
_SOURCE = "// func_name="  # where TVM begins the text of all kernels in a message
_pointer, _size = ctypes.c_void_p, ctypes.c_size_t
_made_by: list[int] = []  # the process that has loaded the library
CAPTURING = threading.Lock()  # held while a graph is made, and by what a graph of another thread would not survive
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
    "cudaGetDevice": [_pointer],
    "cudaSetDevice": [ctypes.c_int],
    "cudaGetDeviceCount": [_pointer],
    "cudaDeviceGetAttribute": [_pointer, ctypes.c_int, ctypes.c_int],
    "cudaDriverGetVersion": [_pointer],
    "cudaDeviceSetLimit": [ctypes.c_int, _size],
    "cudaDeviceGetLimit": [_pointer, ctypes.c_int],
    "cudaMemGetInfo": [_pointer, _pointer],
}


@functools.cache
def library() -> Any:
    """The library, which `tvm_runtime.load_cuda` has loaded. Raises OSError where there is none."""
    found = ctypes.CDLL(RUNTIME)
    _made_by.append(os.getpid())
    for name, arguments in _ARGUMENTS.items():
        getattr(found, name).argtypes = arguments
    found.cudaGetErrorString.restype = ctypes.c_char_p
    return found


def must(status: int, what: str) -> None:
    """Raise RankError unless a call of the library succeeded."""
    if status != 0:
        library().cudaGetLastError()  # which forgets it
        raise RankError(f"the GPU cannot {what}: {_named(status)}{_lost(status)}")


def told(error: Exception) -> str:
    """An error of TVM's without the text of all kernels, megabytes of it, that it has in its message."""
    text, _, rest = str(error).partition(_SOURCE)
    kernel = f" in {rest.splitlines()[0].strip()}" if rest else ""
    status = library().cudaStreamSynchronize(Stream.handle)
    library().cudaGetLastError()
    return f"{' '.join(text.split())}{kernel}{_lost(status)}"


def _named(status: int) -> str:
    text = library().cudaGetErrorString(status)
    return f"{text.decode(errors='replace') if text else ''} (error {status} of CUDA)"


def _lost(status: int) -> str:
    return "; this process cannot use the GPU any more, start it again" if status in _LOST else ""


def capability() -> tuple[int, str]:
    """(the compute capability of the first GPU, such as 90, "") or (0, why there is none that can be used)."""
    count, driver = ctypes.c_int(), ctypes.c_int()
    if (status := library().cudaGetDeviceCount(ctypes.byref(count))) != 0:
        library().cudaGetLastError()
        library().cudaDriverGetVersion(ctypes.byref(driver))
        version = f"for CUDA {driver.value // 1000}.{driver.value % 1000 // 10}" if driver.value else "not there"
        return (
            0,
            f"this machine has no GPU that the driver can use: {_named(status)}; the driver is {version}, wanted for CUDA 13.0 or newer",
        )
    if count.value == 0:
        return 0, "this machine has no GPU that the driver can use"
    return 10 * _attribute(_MAJOR) + _attribute(_MINOR), ""


def threads() -> int:
    """How many threads the first device can have at the same time."""
    return _attribute(_PROCESSORS) * _attribute(_THREADS)


def _attribute(number: int) -> int:
    value = ctypes.c_int()
    must(library().cudaDeviceGetAttribute(ctypes.byref(value), number, 0), "say what it is")
    return value.value


def memory() -> tuple[int, int]:
    """Bytes of the device that are free, and all."""
    free, total = _size(), _size()
    must(library().cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)), "say what memory it has")
    return free.value, total.value


@functools.cache
def heap(size: int) -> int:
    """Let threads of kernels take so many bytes together, once in a process; how many they can take. CUDA refuses another size when code
    that uses the heap was loaded before, of whomever."""
    library().cudaDeviceSetLimit(_HEAP, size)
    library().cudaGetLastError()
    there = _size()
    must(library().cudaDeviceGetLimit(ctypes.byref(there), _HEAP), "say how large its heap is")
    return there.value


class FirstDevice:
    """Inside of `with`, this thread works on the first device, whichever its program chose; behind it on that again. Raises RankError in a
    process that was forked."""

    def __enter__(self) -> None:
        if _made_by and _made_by[0] != os.getpid():
            raise RankError(
                "this process was forked from one that uses the GPU, which CUDA does not survive; load the artifact in the children only"
            )
        self._before = ctypes.c_int()
        must(library().cudaGetDevice(ctypes.byref(self._before)), "say which one is used")
        if self._before.value:
            must(library().cudaSetDevice(0), "be used")

    def __exit__(self, *_error: object) -> None:
        if self._before.value:
            library().cudaSetDevice(self._before.value)


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
