"""te_schedules/text/search.py: a byte is found wherever it is, around every width of a vector, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.lower import PIPELINE
from te_schedules.text import search

LENGTHS = (0, 1, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300)


@pytest.fixture(scope="module")
def has_one():
    """`has_one(bytes)`: whether 7 or 9 is among them."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("has_one")
        T.func_attr({"global_symbol": "has_one", "tirx.noalias": True})
        ranges_handle, out_handle = T.arg("p_ranges", T.handle()), T.arg("p_out", T.handle())
        ranges, out = T.match_buffer(ranges_handle, (2,), "int64"), T.match_buffer(out_handle, (1,), "int64")
        with intrin.imports():
            found = intrin.local("int64", 0)
            search.emit(found, ranges[0], ranges[1], T.uint8(7), T.uint8(9))
            T.buffer_store(out, found[0], [0])
    kernel = tirx.build(tvm.IRModule({"has_one": builder.get()}), target=tvm.target.Target("llvm"), pipeline=PIPELINE)["has_one"]

    def run(data: np.ndarray) -> int:
        out = np.full(1, -1, np.int64)
        kernel(np.array([data.ctypes.data, data.ctypes.data + data.size], np.int64), out)
        return int(out[0])

    return run


@pytest.mark.parametrize("length", LENGTHS)
def test_a_byte_is_found_at_every_place(has_one, length: int):
    room = np.full(length + 66, 7, np.uint8)  # what is around does not count
    data = room[33 : 33 + length]
    data[:] = 200
    assert has_one(data) == 0
    for place in range(length):
        data[place] = 9 if place % 2 else 7
        assert has_one(data) == 1
        data[place] = 0
