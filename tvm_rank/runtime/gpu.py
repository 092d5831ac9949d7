"""Running an artifact on a GPU: one copy of a request there, the kernels, one copy of the scores back.

    host memory (pinned)     [ request words | item words | row map | item rows | buffers of the columns ]   ->  the same memory on the device

The descriptors in it hold addresses of the device (`te_schedules/pack_columns.py`). Tables and the item store lie on the device from loading
on (`gpu_memory.py`); item rows, those of a request's items in the store, are there with a store.
"""

from __future__ import annotations

import contextlib
import ctypes
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tvm_rank.errors import ArtifactError, RankError
from tvm_rank.ops.table_rows import PAD_BYTES
from tvm_rank.runtime import cuda, tvm_runtime
from tvm_rank.runtime.cuda import Stream
from tvm_rank.runtime.device_view import DeviceView
from tvm_rank.runtime.gpu_graphs import Graphs, Results
from tvm_rank.runtime.library import CPU, POOLED, kernel

if TYPE_CHECKING:
    from tvm_rank.runtime.gpu_memory import Fields
    from tvm_rank.runtime.row_map import Rows

CUDA, CUDA_HOST = 2, 3  # DLPack's device types
FIRST_BYTES = 1 << 20
PART_BYTES = 64  # each part of a request begins at a multiple of so many
INDEX_WORD, ROWS_WORD = 2, 14  # of a descriptor
KERNELS = "kernels.cubin"  # the file of machine code
_NOTHING = "vm.builtin.make_tuple"  # of TVM, which takes any arguments and does next to nothing
_CALLBACK = "tvm_callback_cuda_compile"
_loading = threading.Lock()


@contextlib.contextmanager
def kernels_of(folder: pathlib.Path) -> Iterator[None]:
    """Meanwhile TVM's runtime, which loads the library of the artifact and finds kernels there as source, takes their machine code from the
    artifact. It asks a function for it, which is TVM's compiler where that is loaded."""
    import tvm_ffi

    binary = (folder / "host" / KERNELS).read_bytes()
    with _loading:
        before = tvm_ffi.get_global_func(_CALLBACK, allow_missing=True)
        tvm_ffi.register_global_func(_CALLBACK, lambda _source: binary, override=True)
        try:
            yield
        finally:
            if before is None:
                tvm_ffi.registry.remove_global_func(_CALLBACK)
            else:
                tvm_ffi.register_global_func(_CALLBACK, before, override=True)


def capability() -> tuple[int, str]:
    """(the compute capability of the first GPU, such as 90, "") or (0, why there is none that can be used)."""
    try:
        tvm_runtime.load_cuda()
        return cuda.capability()
    except OSError as error:
        return 0, f"NVIDIA's driver or runtime is not here ({error})"


def runs(wanted: str, here: int) -> bool:
    """Whether code for a GPU such as "sm_90" runs on one of this compute capability: of the same major number, and not older."""
    number = int(wanted.removeprefix("sm_"))
    return here // 10 == number // 10 and here >= number


def lacking(wanted: str) -> str:
    """Why code for a GPU such as "sm_90" does not run here; "" when it does."""
    here, why = capability()
    if not here:
        return f"{why}, wanted a GPU with {wanted}"
    return "" if runs(wanted, here) else f"this machine's GPU has sm_{here}, wanted {wanted}"


class _Functions:
    """TVM's functions for tensors."""

    def __init__(self) -> None:
        import tvm_ffi

        self._allocate = tvm_ffi.get_global_func("runtime.TVMTensorAllocWithScope")
        self._view = tvm_ffi.get_global_func("runtime.TVMTensorCreateView")
        self.copy = tvm_ffi.get_global_func("runtime.TVMTensorCopyFromTo")
        self._shape, self._dtype, self._device = tvm_ffi.Shape, tvm_ffi.dtype, tvm_ffi.device

    def empty(self, shape: Sequence[int], dtype: str, device: int) -> Any:
        """A tensor whose memory is not set."""
        return self._allocate(self._shape(tuple(shape)), self._dtype(dtype), self._device(device, 0), None)

    def at_front(self, memory: Any, shape: Sequence[int], dtype: str) -> Any:
        """The tensor that lies at the front of another one, which it holds."""
        return self._view(memory, self._shape(tuple(shape)), self._dtype(dtype), 0)


class GpuMachine:
    """A virtual machine on the first GPU, the memory of its requests, and the graphs of those whose shape comes again, unless
    these are off. One call at a time."""

    def __init__(self, library: Any, *, graphs: bool = True):
        with cuda.CAPTURING, cuda.FirstDevice():
            self._make(library, graphs)

    def _make(self, library: Any, graphs: bool) -> None:
        import tvm_ffi

        machine = library["vm_load_executable"]()
        machine["vm_initialization"](CUDA, 0, POOLED, CPU, 0, POOLED)
        self._module, self._main = machine, machine["main"]
        self._check, self._pack = (kernel(library, name) for name in ("check_columns", "pack_columns"))
        self._functions, self._nothing = _Functions(), tvm_ffi.get_global_func(_NOTHING)
        self._here, self._on_stream = tvm_ffi.device(CUDA, 0), tvm_ffi.use_raw_stream
        self._stream, self._is_watched = Stream(), False
        self._results = Results(self._pinned)
        self._graphs = Graphs(self._pinned, self._set_hook, is_on=graphs)
        self._reserve(FIRST_BYTES)

    def _pinned(self, size: int) -> Any:
        return self._functions.empty([size], "uint8", CUDA_HOST)

    def _reserve(self, size: int) -> None:
        self._graphs.clear()
        self._size = size
        self._host, self._device = self._pinned(size), self._functions.empty([size], "uint8", CUDA)
        self._host_array = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(_address(self._host)))

    def _set_hook(self, hook: Callable[..., int] | None) -> None:
        """Call it before and after each instruction of the virtual machine, which always calls something, once it was told to."""
        import tvm_ffi

        self._module["set_instrument"](self._nothing if hook is None else tvm_ffi.convert(hook))

    def watch(self, hook: Callable[..., int]) -> None:
        """Call the hook before and after each kernel, when the GPU has done all that it was given. Meanwhile no graph is used."""

        def waiting(*given: Any) -> int:
            self._stream.wait()
            return hook(*given)

        self._is_watched = True
        self._set_hook(waiting)

    def unwatch(self) -> None:
        """Call it no more, and wait for nothing."""
        self._is_watched = False
        self._set_hook(None)

    def check(self, words: np.ndarray) -> np.ndarray:
        """The status of each column of a descriptor table: not 0 where its offsets lead outside of it."""
        status = np.zeros(len(words), np.int64)
        self._check(words, status)
        return status

    def run(self, tables: Sequence[np.ndarray], rows: Rows, fields: Fields | None, arrays: Sequence[Any]) -> list[np.ndarray]:
        """What `main` gives, as arrays of the host. tables: descriptors of both sides, which have been checked · fields: of the items, where
        a store has them · arrays: what a store computed ahead, and stacked tables. Raises RankError for an error of the GPU."""
        with cuda.FirstDevice():
            return self._run(tables, rows, fields, arrays)

    def _run(self, tables: Sequence[np.ndarray], rows: Rows, fields: Fields | None, arrays: Sequence[Any]) -> list[np.ndarray]:
        places, count = self._copied(tables, rows, fields), rows.items

        def call(stream: Stream) -> Sequence[Any]:
            parts = [((*table.shape,), "int64", place) for table, place in zip(tables, places, strict=False)]
            parts += [((count,), "int32", place) for place in places[len(tables) :]]
            views = [DeviceView(_address(self._device) + place, shape, dtype, CUDA) for shape, dtype, place in parts]
            of_items = views[2:] if fields is None or fields.is_read else views[2:3]
            with self._on_stream(self._here, stream.handle):
                try:
                    return [*self._main(*(v.tensor for v in views[:2]), rows.shape, *(v.tensor for v in of_items), *arrays)]
                except Exception as error:
                    raise RankError(f"a kernel failed: {cuda.told(error)}") from None  # TVM's message has all of the source

        graph = None if self._is_watched else self._graphs.of((rows.requests, count), call)
        if graph is not None:
            return graph.run(self._stream)
        self._results.ask(results := call(self._stream), self._stream)
        self._stream.wait()
        del results  # whose memory the copies read
        return self._results.arrays()

    def _copied(self, tables: Sequence[np.ndarray], rows: Rows, fields: Fields | None) -> list[int]:
        """Bring a request to the device; where in its memory the tables, the row map, and the rows of the store begin."""
        of_items = [rows.row_map, *([] if fields is None else [fields.rows])]
        places, end = [], 0
        for array in (*tables, *of_items):
            places.append(end)
            end += -(-array.nbytes // PART_BYTES) * PART_BYTES
        if (wanted := self._packed(tables, rows, end, places[2])[1]) > self._size:
            self._reserve(2 * wanted)
        packed, used = self._packed(tables, rows, end, places[2], host=_address(self._host))
        if fields is not None:
            is_stored = fields.words[:, ROWS_WORD] != 0
            packed[1][is_stored] = fields.words[is_stored]
            packed[1][is_stored, INDEX_WORD] = _address(self._device) + places[3]
        for place, array in zip(places, (*packed, *of_items), strict=True):
            self._host_array[place : place + array.nbytes] = array.reshape(-1).view(np.uint8)
        self._stream.to_device(_address(self._device), _address(self._host), used)
        return places

    def _packed(
        self, tables: Sequence[np.ndarray], rows: Rows, end: int, row_map: int, host: int = 0
    ) -> tuple[list[np.ndarray], int]:
        """The tables with addresses of the device, and the first byte behind what they lead to."""
        device, packed, behind = _address(self._device), [], np.array([end], np.int64)
        for table in tables:
            place = np.array([host, device, behind[0], rows.items, rows.address, device + row_map], np.int64)
            packed.append(np.empty_like(table))
            self._pack(table, place, packed[-1], behind)
        return packed, int(behind[0])


def on_device(array: np.ndarray) -> Any:
    """An array as a tensor of the device, with PAD_BYTES behind it: the last row of a table is read beyond its end, as on CPUs. Raises
    ArtifactError, which names the size, when it does not fit."""
    import tvm_ffi

    try:
        tensor = _Functions().at_front(empty([array.nbytes + PAD_BYTES], "uint8"), array.shape, str(array.dtype))
    except Exception as error:
        raise ArtifactError(f"{array.nbytes:,} bytes do not fit into the memory of the GPU ({error})") from error
    copy(tvm_ffi.from_dlpack(array), tensor)
    return tensor


def empty(shape: Sequence[int], dtype: str) -> Any:
    """A tensor of the device whose memory is not set."""
    return _Functions().empty(shape, dtype, CUDA)


def copy(source: Any, target: Any) -> None:
    """Copy a tensor into one of the same size; wait for it on the default stream."""
    _Functions().copy(source, target)


def _address(tensor: Any) -> int:
    return int(tensor.data_ptr())
