"""The emulated GPU is stricter than one: what CUDA leaves undefined ends the process, or shows in the numbers."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

KERNELS = textwrap.dedent("""
    extern "C" __global__ void read_at(float* p, int64_t at) {
      p[0] = p[at];
    }
    extern "C" __global__ void read_pair(float* p, int64_t at) {
      p[0] = ((const float2*)(p + at))->x;
    }
    extern "C" __global__ void shift(float* p, int64_t by) {
      p[0] = float(1u << by);
    }
    extern "C" __global__ void last_one(float* p, int64_t at) {
      p[at] = threadIdx.x;
    }
    extern "C" __global__ void copy(float* p, int64_t host) {
      p[0] = *(const float*)host;
    }
""")
# allocates 64 floats, the second time, runs a kernel `times`, prints what is at 0
PROGRAM = """
import ctypes, mmap, struct, sys
library, cubin, kernel, at, times = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
cuda = ctypes.CDLL(library)
module, function, memory = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
assert cuda.cuModuleLoadData(ctypes.byref(module), open(cubin, "rb").read()) == 0
assert cuda.cuModuleGetFunction(ctypes.byref(function), module, kernel.encode()) == 0
for _ in range(2):
    assert cuda.cudaMalloc(ctypes.byref(memory), ctypes.c_size_t(256)) == 0
if kernel == "copy":
    host = mmap.mmap(-1, 4096)
    host[:4] = struct.pack("f", 7)
    place = ctypes.addressof(ctypes.c_char.from_buffer(host))
    cuda.emulated_hide(ctypes.c_void_p(place if at else None), ctypes.c_size_t(4096))
    at = place
arguments = (ctypes.c_void_p * 2)(ctypes.addressof(memory), ctypes.addressof(at := ctypes.c_int64(at)))
config = struct.pack("7I4xPPI4x", 1, 1, 1, 8, 1, 1, 0, 0, 0, 0)
for _ in range(times):
    assert cuda.cuLaunchKernelEx(config, function, arguments, None) == 0
scores = ctypes.c_float()
assert cuda.cudaMemcpyAsync(ctypes.byref(scores), memory, ctypes.c_size_t(4), 2, None) == 0
print(scores.value)
"""


@pytest.fixture(scope="module")
def run(emulated_folder: pathlib.Path, tmp_path_factory: pytest.TempPathFactory):
    """(kernel, its number, times) -> exit status, what is printed"""
    folder = tmp_path_factory.mktemp("kernels")
    source, code = folder / "kernels.cu", folder / "kernels.cubin"
    source.write_text(f"#include <stdint.h>\n{KERNELS}")
    subprocess.run([emulated_folder / "nvcc", "-cubin", "-arch=sm_90", "-o", code, source], check=True)

    def call(kernel: str, number: int, times: int = 1) -> tuple[int, str]:
        command = [
            sys.executable,
            "-c",
            PROGRAM,
            str(emulated_folder / "libcudart.so.13"),
            str(code),
            kernel,
            str(number),
            str(times),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.strip()

    return call


@pytest.mark.parametrize("at", [64, 1087, -1000])
def test_what_reads_beyond_its_memory_ends(run, at: int):
    assert run("read_at", at)[0] in (-signal.SIGBUS, -signal.SIGSEGV)


def test_memory_that_was_not_written_is_nan(run):
    assert run("read_at", 63) == (0, "nan")


def test_vectors_at_addresses_between_vectors_end(run):
    assert run("read_pair", 1)[0] == -signal.SIGILL
    assert run("read_pair", 2)[0] == 0


def test_shifts_by_all_bits_or_more_end(run):
    assert run("shift", 31) == (0, str(2.0**31))
    assert run("shift", 32)[0] == -signal.SIGILL


def test_every_other_launch_runs_its_threads_from_the_last_to_the_first(run):
    assert run("last_one", 0, times=1) == (0, "7.0")
    assert run("last_one", 0, times=2) == (0, "0.0")


def test_memory_of_the_host_can_be_hidden_from_kernels(run):
    assert run("copy", 0) == (0, "7.0")
    assert run("copy", 1)[0] == -signal.SIGSEGV
