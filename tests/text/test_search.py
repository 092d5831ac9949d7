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


@pytest.fixture(scope="module")
def find():
    """`find(bytes, begin, end, limit)`: where the first 7 or 9 is."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("find")
        T.func_attr({"global_symbol": "find", "tirx.noalias": True})
        ranges_handle, out_handle = T.arg("p_ranges", T.handle()), T.arg("p_out", T.handle())
        ranges, out = T.match_buffer(ranges_handle, (3,), "int64"), T.match_buffer(out_handle, (1,), "int64")
        with intrin.imports():
            T.buffer_store(out, search.find(ranges[0], ranges[1], ranges[2], T.uint8(7), T.uint8(9)), [0])
    kernel = tirx.build(tvm.IRModule({"find": builder.get()}), target=tvm.target.Target("llvm"), pipeline=PIPELINE)["find"]

    def run(data: np.ndarray, begin: int, end: int, limit: int) -> int:
        out, at = np.full(1, -1, np.int64), data.ctypes.data
        kernel(np.array([at + begin, at + end, at + limit], np.int64), out)
        return int(out[0]) - at

    return run


@pytest.mark.parametrize("length", LENGTHS)
def test_the_first_of_two_bytes_is_found_wherever_the_text_and_its_memory_end(find, length):
    for room in (0, 1, 31, 32, 70):
        for begin in {0, min(1, length), length}:
            for place in {begin, length - 1, length, (begin + length) // 2} & set(range(begin, length + room)):
                data = np.zeros(length + room, np.uint8)
                data[place:] = (7, 9)[place % 2]
                assert find(data, begin, length, length + room) == min(place, length)
        data = np.zeros(length + room, np.uint8)
        assert find(data, 0, length, length + room) == length
        data[length:] = 7  # of another text
        assert find(data, 0, length, length + room) == length
