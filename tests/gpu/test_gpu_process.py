"""A GPU engine beside other code of its process: other devices, a heap that is fixed, stacks of kernels, kernels that fail."""

from __future__ import annotations

import ctypes
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from gpu_store_model import key

import tvm_rank
from tvm_rank.runtime import cuda, gpu_memory, machine_code

pytestmark = pytest.mark.usefixtures("emulated")
Make = Callable[[str], pathlib.Path]
ASKED = {"user": {"city": ["city 1"]}, "item_ids": [key("number", k) for k in range(5)]}


def device_of(emulated: ctypes.CDLL) -> int:
    now = ctypes.c_int(-1)
    assert emulated.cudaGetDevice(ctypes.byref(now)) == 0
    return now.value


def test_a_thread_keeps_the_device_that_it_chose(gpu_store: Make, emulated: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EMULATED_GPUS", "2")
    wanted = tvm_rank.load(gpu_store("dense")).rank(**ASKED)["score"]
    emulated.cudaSetDevice(1)
    try:
        engine = tvm_rank.load(gpu_store("dense"))
        assert device_of(emulated) == 1
        for _ in range(4):  # one by one, and as a graph
            np.testing.assert_array_equal(engine.rank(**ASKED)["score"], wanted)
            assert device_of(emulated) == 1
    finally:
        emulated.cudaSetDevice(0)


def test_a_kernel_that_fails_is_told_in_a_line(gpu_store: Make, emulated: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch):
    engine = tvm_rank.load(gpu_store("dense"))
    monkeypatch.setenv("EMULATED_LAUNCH_ERROR", "700")
    try:
        with pytest.raises(tvm_rank.RankError) as raised:
            engine.rank(**ASKED)
    finally:
        ctypes.c_int.in_dll(emulated, "emulated_lost").value = 0
    message = str(raised.value)
    assert "CUDALaunch Error: emulated grid=(" in message
    assert message.endswith("_kernel; this process cannot use the GPU any more, start it again")
    assert len(message) < 500
    monkeypatch.delenv("EMULATED_LAUNCH_ERROR")
    assert len(engine.rank(**ASKED)["score"]) == 5


def test_stacks_and_the_heap_of_kernels_must_fit_too(gpu_store: Make, monkeypatch: pytest.MonkeyPatch):
    code = machine_code.MachineCode(frozenset(), 80, 5232, takes_memory=True)
    monkeypatch.setattr(machine_code, "read", lambda _path: code)
    monkeypatch.setenv("EMULATED_FREE", str(1 << 30))
    stacks = 5232 * 132 * 2048
    with pytest.raises(tvm_rank.ArtifactError, match=rf"heap of kernels 536,870,912, stacks of kernels {stacks:,}, requests"):
        tvm_rank.load(gpu_store("dense"))


def test_a_heap_that_others_fixed_is_told(gpu_store: Make, monkeypatch: pytest.MonkeyPatch):
    code = machine_code.MachineCode(frozenset(), 80, 0, takes_memory=True)
    monkeypatch.setattr(machine_code, "read", lambda _path: code)
    monkeypatch.setattr(cuda, "heap", lambda _size: 8 << 20)
    with pytest.warns(RuntimeWarning, match="threads of kernels can take 8,388,608 bytes together, 536,870,912 were wanted"):
        tvm_rank.load(gpu_store("dense"))


def test_the_heap_is_set_once_in_a_process(emulated: ctypes.CDLL):
    cuda.heap.cache_clear()
    assert cuda.heap(gpu_memory.HEAP_BYTES) == gpu_memory.HEAP_BYTES
    emulated.cudaDeviceSetLimit(2, ctypes.c_size_t(1 << 20))
    assert cuda.heap(gpu_memory.HEAP_BYTES) == gpu_memory.HEAP_BYTES
    cuda.heap.cache_clear()
    assert cuda.heap(gpu_memory.HEAP_BYTES) == gpu_memory.HEAP_BYTES


def test_a_process_that_was_forked_is_refused(gpu_store: Make, monkeypatch: pytest.MonkeyPatch):
    engine = tvm_rank.load(gpu_store("dense"))
    monkeypatch.setattr(cuda, "_made_by", [1])
    with pytest.raises(tvm_rank.RankError, match=r"forked from one that uses the GPU, .* load the artifact in the children only"):
        engine.rank(**ASKED)
