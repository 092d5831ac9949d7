"""One kernel around a text primitive, built once per session, and memory in which a read outside a text ends the process."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin


class TextKernel:
    """Calls `emit(first, second)` for every row of an int64 table (rows, 2); `dtypes` are those of its results."""

    def __init__(self, emit: Callable, dtypes: Sequence[str]):
        self._dtypes = dtypes
        self._run = tvm.tirx.build(tvm.IRModule({"kernel": _prim_func(emit, dtypes)}), target=tvm.target.Target({"kind": "llvm"}))[
            "kernel"
        ]

    def rows(self, table: np.ndarray) -> list[np.ndarray]:
        """The results of each row, one array per dtype."""
        results = [np.zeros(len(table), dtype) for dtype in self._dtypes]
        self._run(np.ascontiguousarray(table, np.int64), *results)
        return results

    def texts(self, texts: Sequence[bytes]) -> list[np.ndarray]:
        """The results for texts that lie one behind the other in memory, so at all alignments."""
        data = np.frombuffer(b"".join(texts) + b"\0", np.uint8)
        lengths = np.array([len(text) for text in texts], np.int64)
        addresses = data.ctypes.data + np.cumsum(lengths) - lengths
        return self.rows(np.stack([addresses, lengths], axis=1))


def _prim_func(emit: Callable, dtypes: Sequence[str]):
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("kernel")
        T.func_attr({"global_symbol": "kernel", "tirx.noalias": True})
        table_handle = T.arg("table", T.handle())
        handles = [T.arg(f"out{k}", T.handle()) for k in range(len(dtypes))]
        rows = T.int64()
        table = T.match_buffer(table_handle, (rows, 2), "int64")
        outputs = [T.match_buffer(handle, (rows,), dtype) for handle, dtype in zip(handles, dtypes, strict=True)]
        with intrin.imports(), T.serial(rows) as row:
            results = emit(T.bind(table[row, 0]), T.bind(table[row, 1]))
            results = results if isinstance(results, tuple) else (results,)
            for output, result in zip(outputs, results, strict=True):
                T.buffer_store(output, getattr(result, "expr", result), [row])
    return builder.get()


@pytest.fixture(scope="session")
def text_kernel() -> Callable[..., TextKernel]:
    """`text_kernel(emit, "dtype", ...)`: the kernel, built at the first request."""
    built: dict[Callable, TextKernel] = {}

    def get(emit: Callable, *dtypes: str) -> TextKernel:
        if emit not in built:
            built[emit] = TextKernel(emit, dtypes)
        return built[emit]

    return get


class GuardedPages:
    """Readable pages between two that may not be touched: a kernel that reads outside a text at an edge dies of a signal."""

    INSIDE = 2 * mmap.PAGESIZE

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, self.INSIDE + 2 * mmap.PAGESIZE)
        self._first = ctypes.addressof(ctypes.c_char.from_buffer(self._map)) + mmap.PAGESIZE
        self.end = self._first + self.INSIDE
        for page in (self._first - mmap.PAGESIZE, self.end):
            self._protect(page, 0)

    def edges(self, text: bytes) -> Iterator[tuple[int, int]]:
        """(address, length) of the text at the end of the pages, and then at their beginning."""
        for address in (self.end - len(text), self._first):
            ctypes.memmove(address, text, len(text))
            yield address, len(text)

    def release(self) -> None:
        """Make all pages ordinary again, so that the interpreter may free them."""
        for page in (self._first - mmap.PAGESIZE, self.end):
            self._protect(page, mmap.PROT_READ | mmap.PROT_WRITE)

    @staticmethod
    def _protect(page: int, rights: int) -> None:
        if ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), rights):
            raise OSError(ctypes.get_errno(), "mprotect failed")


@pytest.fixture(scope="session")
def guarded_pages() -> Iterator[GuardedPages]:
    """One pair of guarded pages for the session."""
    pages = GuardedPages()
    yield pages
    pages.release()
