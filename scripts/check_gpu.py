"""Compile models of the zoo for GPUs, down to machine code by NVIDIA's nvcc and ptxas; no GPU is needed.

    python scripts/check_gpu.py [NAME ...] [--arch sm_80 sm_90] [--precision fp32]

For each model and each kind of GPU: the kernels in the machine code, its size, the most registers and bytes of stack that a thread of one
takes, and whether any takes memory from the device's heap. Ends with status 1 when a model does not compile or a kernel of its source is not
in the machine code.
"""

from __future__ import annotations

import argparse
import gzip
import pathlib
import re
import sys
import tempfile
import time

import tvm_rank
from te_schedules.gpu.compile import CudaError, cubin
from tvm_rank import zoo
from tvm_rank.errors import RankError
from tvm_rank.runtime import machine_code
from tvm_rank.target import ON_GPUS

SOURCE = pathlib.Path("stages") / "cuda.gz"


def source_of(name: str, folder: pathlib.Path, arch: str, precision: str) -> tuple[str, bytes]:
    """(the CUDA source of a model, its machine code for `arch`)"""
    built = zoo.build(name, folder / "zoo")
    artifact = folder / "artifact"
    brought = {"features": built.features, "model": built.model, "tables": built.tables}
    tvm_rank.compile(**brought, target=f"cuda-{arch}", precision=precision).save(artifact)
    return gzip.decompress((artifact / SOURCE).read_bytes()).decode(), (artifact / "host" / "kernels.cubin").read_bytes()


def entries_of(source: str) -> set[str]:
    """The kernels of a source: what the host can launch."""
    return set(re.findall(r'extern "C" __global__ void __launch_bounds__\([^)]*\) (\w+)\(', source))


def check(name: str, archs: list[str], precision: str) -> bool:
    """Whether the model compiles for all of them; prints a line for each."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, begun = pathlib.Path(temporary), time.perf_counter()
        try:
            source, first = source_of(name, folder, archs[0], precision)
            codes = {arch: cubin(source, arch) if k else first for k, arch in enumerate(archs)}
        except (RankError, CudaError) as error:
            print(f"{name:12s} FAILED {error}", flush=True)
            return False
        good = True
        for arch, code in codes.items():
            made, wanted = machine_code.of(code), entries_of(source)
            lost = wanted - made.functions
            state = f"FAILED, without {', '.join(sorted(lost))}" if lost or not wanted else "ok"
            most = (
                f"{made.registers:3d} registers and {made.stack_bytes:5d} bytes of stack{', a heap' if made.takes_memory else ''}"
            )
            figures = f"{len(wanted):3d} kernels, {len(code) / 1e3:7.1f} kB, at most {most}"
            print(f"{name:12s} {arch} {state}: {figures} ({time.perf_counter() - begun:.0f} s)", flush=True)
            good = good and state == "ok"
        return good


def main() -> int:
    """Check and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models (default: all)")
    parser.add_argument(
        "--arch", nargs="+", default=["sm_80", "sm_90"], metavar="sm_NN", help="kinds of GPUs (default: sm_80 sm_90)"
    )
    parser.add_argument("--precision", choices=ON_GPUS, default="fp32", help="of dense layers (default: fp32)")
    options = parser.parse_args()
    good = [check(name, options.arch, options.precision) for name in options.names or zoo.MODELS]
    print(f"{sum(good)} of {len(good)} models compile for {', '.join(options.arch)}")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
