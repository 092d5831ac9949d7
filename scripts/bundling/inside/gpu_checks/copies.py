"""The GPU as its runtime describes it, and how fast memory is copied."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import numpy as np

RUNTIME = "libcudart.so.13"
BYTES, CPU_BYTES = 256 << 20, 64 << 20  # more than caches hold
LEAST = 3  # copies
NAME_BYTES, PROPERTIES_BYTES = 256, 1 << 14
TO_DEVICE, TO_HOST, ON_DEVICE = 1, 2, 3  # cudaMemcpyKind


def device() -> dict[str, Any]:
    """Name, memory and compute capability of the first GPU, and the versions of its driver and runtime."""
    cudart = _cudart()
    properties = ctypes.create_string_buffer(PROPERTIES_BYTES)
    cudart.cudaGetDeviceProperties(properties, 0)
    free, total, driver, runtime = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_int(), ctypes.c_int()
    cudart.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
    cudart.cudaDriverGetVersion(ctypes.byref(driver))
    cudart.cudaRuntimeGetVersion(ctypes.byref(runtime))
    from tvm_rank.runtime.gpu import capability

    return {
        "gpu": properties.raw[:NAME_BYTES].split(b"\0")[0].decode(errors="replace"),
        "capability": f"sm_{capability()[0]}",
        "memory_gb": round(total.value / 1e9, 1),
        "driver_cuda": driver.value,
        "runtime_cuda": runtime.value,
    }


def on_gpu(seconds: float) -> dict[str, Any]:
    """GB/s of large copies, in bytes that are copied: from pinned memory to the device, back, and on the device, which reads and writes
    each byte."""
    cudart = _cudart()
    host, first, second = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    _must(cudart.cudaMallocHost(ctypes.byref(host), ctypes.c_size_t(BYTES)))
    for place in (first, second):
        _must(cudart.cudaMalloc(ctypes.byref(place), ctypes.c_size_t(BYTES)))
    pairs = {"to_gpu": (first, host, TO_DEVICE), "to_host": (host, first, TO_HOST), "on_gpu": (second, first, ON_DEVICE)}
    found: dict[str, Any] = {"bytes": BYTES}
    for name, (to, source, kind) in pairs.items():

        def copy(to: Any = to, source: Any = source, kind: int = kind) -> None:
            _must(cudart.cudaMemcpyAsync(to, source, ctypes.c_size_t(BYTES), kind, None))

        found[f"{name}_gb_s"] = _gb_s(copy, lambda: _must(cudart.cudaDeviceSynchronize()), seconds)
    return found


def on_cpu(seconds: float) -> dict[str, Any]:
    """The same for copies in this machine's memory."""
    first, second = np.ones(CPU_BYTES // 8), np.empty(CPU_BYTES // 8)
    return {"bytes": CPU_BYTES, "on_cpu_gb_s": _gb_s(lambda: np.copyto(second, first), lambda: None, seconds, CPU_BYTES)}


def _gb_s(copy: Callable[[], None], wait: Callable[[], None], seconds: float, size: int = BYTES) -> float:
    """The best of the copies that are made in so many seconds."""
    best, rounds, end = float("inf"), 0, time.perf_counter() + seconds
    while rounds < LEAST or time.perf_counter() < end:
        rounds += 1
        wait()
        started = time.perf_counter()
        copy()
        wait()
        best = min(best, time.perf_counter() - started)
    return round(size / best / 1e9, 2)


def _cudart() -> Any:
    from tvm_rank.runtime import tvm_runtime

    tvm_runtime.load_cuda()  # which loads the bundle's own
    return ctypes.CDLL(RUNTIME)


def _must(status: int) -> None:
    if status != 0:
        raise RuntimeError(f"NVIDIA's runtime gives error {status}")
