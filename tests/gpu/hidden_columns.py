"""Columns in memory of the host that kernels on the emulated GPU cannot touch, as those of a GPU cannot."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Iterator

import pyarrow as pa


@contextlib.contextmanager
def hidden(emulated: ctypes.CDLL, *tables: pa.Table) -> Iterator[list[pa.Table]]:
    """The tables, all of whose buffers lie there."""
    sink = pa.BufferOutputStream()
    for table in tables:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
    data = sink.getvalue()
    memory = mmap.mmap(-1, data.size)
    memory[: data.size] = data
    source = pa.BufferReader(pa.py_buffer(memory))
    found = [pa.ipc.open_stream(source).read_all() for _ in tables]
    emulated.emulated_hide(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory))), ctypes.c_size_t(len(memory)))
    try:
        yield found
    finally:
        emulated.emulated_hide(None, ctypes.c_size_t(0))
