"""Stands in for NVIDIA's nvcc: kernels become a shared library of this machine, which `driver.cpp` loads and runs.

nvcc -cubin [flags] -arch=sm_90 -o OUT SOURCE
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

HERE = pathlib.Path(__file__).parent
_KERNEL = re.compile(r'^extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\((.*)\) \{$', re.MULTILINE)


def calls(source: str) -> Iterator[str]:
    """For each kernel a function that takes its arguments as the driver has them: an array of addresses."""
    yield 'extern "C" thread_local Index emulated_thread, emulated_block;\nthread_local Index emulated_thread, emulated_block;'
    waits = re.search(r"\b__(sync(warp|threads)|\w+_sync)\(|\bmma\.sync\b", source) is not None
    yield f'extern "C" {{ void (*emulated_wait)(bool); int emulated_waits = {int(waits)}; }}'
    yield 'extern "C" { void* (*emulated_take)(size_t); void (*emulated_give)(void*); }'
    yield 'extern "C" Index* emulated_thread_index() { return &emulated_thread; }'
    yield 'extern "C" Index* emulated_block_index() { return &emulated_block; }'
    for name, parameters in _KERNEL.findall(source):
        kinds = [parameter.rsplit(" ", 1)[0].replace("__restrict__", "").strip() for parameter in parameters.split(", ")]
        arguments = ", ".join(f"*({kind}*)a[{k}]" for k, kind in enumerate(kinds))
        yield f'extern "C" void emulated_{name}(void** a) {{ {name}({arguments}); }}'
        sizes = ", ".join([*(f"sizeof({kind})" for kind in kinds), "0"])
        yield f'extern "C" {{ extern const size_t emulated_sizes_{name}[] = {{{sizes}}}; }}'


def main() -> int:
    """Compile with the compiler that CXX names, else g++."""
    out, path = sys.argv[sys.argv.index("-o") + 1], pathlib.Path(sys.argv[-1])
    source = path.read_text(encoding="utf-8")
    whole = path.with_suffix(".cpp")
    whole.write_text("\n".join([source, *calls(source)]), encoding="utf-8")
    command = [
        os.environ.get("CXX", "g++"),
        "-std=c++17",
        "-O1",
        "-ffp-contract=off",
        "-fno-strict-aliasing",
        "-fsanitize=alignment",  # a GPU ends a kernel that reads a number at an address that is no multiple of its size
        "-fsanitize=shift-exponent",  # shifts by more than all bits give something else there
        "-fsanitize-undefined-trap-on-error",
        "-fPIC",
        "-shared",
        "-w",
    ]
    command += ["-include", str(HERE / "device.h"), "-I", str(HERE / "include"), "-o", out, str(whole)]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
