"""The functions that kernels for GPUs call by name, in CUDA C++ (`prelude.cuh`): what `intrin.py` and others say in LLVM for CPUs, and
functions of float64 that are the C library's (`float64.cuh`).

Each text may stand several times in a module: it is guarded.
"""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Sequence

FLOAT64 = frozenset({"log", "log2", "log10", "exp", "pow"})  # which kernels call as rank_log, ...
_FOLDER = pathlib.Path(__file__).parent
_FILES = ("prelude.cuh", "float64.cuh")


@functools.cache
def text() -> str:
    """All functions."""
    return "".join((_FOLDER / name).read_text(encoding="utf-8") for name in _FILES)


def table(name: str, values: Sequence[int]) -> str:
    """A constant array of uint64 and `rank_<name>_at`, which reads it."""
    words = ", ".join(f"{value}ull" for value in values)
    return (
        f"\n#ifndef RANK_TABLE_{name}\n#define RANK_TABLE_{name}\n"
        f"RANK_CONSTANT uint64_t rank_table_{name}[] = {{{words}}};\n"
        f"RANK_FUNCTION uint64_t rank_{name}_at(int64_t i) {{ return rank_table_{name}[i]; }}\n#endif\n"
    )


def procedure(name: str) -> str:
    """The note that a function of the module is no kernel."""
    return f"\n// rank.procedure {name}\n"


def tidied(source: str) -> str:
    """The source of a module with each import once, and with its procedures as functions that kernels call."""
    for name in set(re.findall(r"^// rank\.procedure (\w+)$", source, re.MULTILINE)):
        source = source.replace(f'extern "C" __global__ void {name}(', f"static __device__ __noinline__ void {name}(")
    first, found, rest = source.partition(text())
    return first + found + rest.replace(text(), "")
