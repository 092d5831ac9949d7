"""What a core multiplies and adds at most: loops of nothing else, compiled with the C compiler."""

from __future__ import annotations

import ctypes
import pathlib
import platform
import shutil
import subprocess
from collections.abc import Callable

_C = """
#include <immintrin.h>
typedef float vector __attribute__((vector_size(VECTOR_BYTES)));
float fp32_loop(long rounds) {
  volatile float unknown[] = {0.999f, 1e-3f};  // to the compiler, which else finds that 1 stays 1 and leaves that sum out
  vector sum[12], factor = (vector){} + unknown[0], term = (vector){} + unknown[1];
  for (int i = 0; i < 12; i++) sum[i] = (vector){} + (float)i;
  for (long k = 0; k < rounds; k++) {
    _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) sum[i] = sum[i] * factor + term;
  }
  float total = 0;
  for (int i = 0; i < 12; i++) for (unsigned j = 0; j < VECTOR_BYTES / 4; j++) total += sum[i][j];
  return total;
}
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define ZERO(i) __m512i sum##i = _mm512_setzero_si512();
#define TAKE(i) total = _mm512_add_epi32(total, sum##i);
#define LOOP(NAME, STEP, X, W) /* names and no array: compilers keep an array of these in memory */ \\
  float NAME(long rounds) { \\
    __m512i x = _mm512_set1_epi32(X), w = _mm512_set1_epi32(W), total = _mm512_setzero_si512(); \\
    EACH(ZERO) \\
    for (long k = 0; k < rounds; k++) { EACH(STEP) } \\
    EACH(TAKE) \\
    return _mm512_reduce_add_epi32(total); \\
  }
#ifdef __AVX512VNNI__
#define BYTES(i) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum##i) : "v"(x), "v"(w));
LOOP(int8_loop, BYTES, 0x01020304, 0x05060708)
#endif
#ifdef __AVX512BF16__
#define PAIRS(i) __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum##i) : "v"(x), "v"(w));
LOOP(bf16_loop, PAIRS, 0x3F803F80, 0x3B803B80)
#endif
"""
_SUMS = 12  # independent ones: enough to hide the latency of two units of 4 to 5 cycles
_PER_NUMBER = {"fp32": 1, "bf16": 2, "int8": 4}  # multiplications for each 32 bits of a register


def peaks(folder: str) -> dict[str, Callable[[int], tuple[Callable[[], object], int]]]:
    """Precision -> a function flops -> (call, its flops); none without a C compiler, int8 with AVX512-VNNI only, bf16 with
    AVX512-BF16 only."""
    compiler, machine = shutil.which("gcc") or shutil.which("clang"), platform.machine()
    if compiler is None or machine not in ("x86_64", "aarch64"):
        return {}
    wide = "avx512f" in pathlib.Path("/proc/cpuinfo").read_text()
    vector = 16 if machine == "aarch64" else 64 if wide else 32
    source, library = f"{folder}/peak.c", f"{folder}/libpeak.so"
    pathlib.Path(source).write_text(_C if machine == "x86_64" else _C.replace("#include <immintrin.h>\n", ""))
    options = ["-O3", "-march=native", "-ffp-contract=fast", "-mprefer-vector-width=512" if wide else "-O3"]
    command = [compiler, *options, f"-DVECTOR_BYTES={vector}", "-shared", "-fPIC", "-w", source, "-o", library]
    subprocess.run(command, check=True, capture_output=True)
    loops = ctypes.CDLL(library)
    return {precision: _peak(loops, precision, vector) for precision in _PER_NUMBER if hasattr(loops, f"{precision}_loop")}


def _peak(loops: ctypes.CDLL, precision: str, vector: int) -> Callable[[int], tuple[Callable[[], object], int]]:
    loop = getattr(loops, f"{precision}_loop")
    loop.argtypes, loop.restype = [ctypes.c_long], ctypes.c_float
    per_round = _SUMS * vector // 4 * _PER_NUMBER[precision] * 2
    return lambda flops: ((lambda: loop(flops // per_round + 1)), (flops // per_round + 1) * per_round)
