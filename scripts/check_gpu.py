"""Compile models of the zoo for GPUs, down to machine code by NVIDIA's nvcc and ptxas; no GPU is needed.

    python scripts/check_gpu.py [NAME ...] [--arch sm_80 sm_90] [--precision fp32]

For each model and each kind of GPU: the kernels in the machine code, its size, and the most registers that a thread of one takes. Ends with
status 1 when a model does not compile or a kernel of its source is not in the machine code.
"""

from __future__ import annotations

import argparse
import gzip
import pathlib
import re
import struct
import sys
import tempfile
import time

import tvm_rank
from te_schedules.gpu.compile import CudaError, cubin
from tvm_rank import zoo
from tvm_rank.errors import RankError
from tvm_rank.target import ON_GPUS

SIZED, REGISTERS = 4, 0x2F  # of a record of `.nv.info`: with its size, and what it tells
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


def sections_of(code: bytes) -> dict[str, bytes]:
    """Name -> contents of the sections of an ELF file, which machine code of a GPU is."""
    (headers,) = struct.unpack_from("<Q", code, 0x28)
    size, count, names = struct.unpack_from("<3H", code, 0x3A)
    sections = [struct.unpack_from("<2I4Q", code, headers + k * size) for k in range(count)]
    texts = sections[names][4]
    return {code[texts + s[0] : code.index(b"\0", texts + s[0])].decode(): code[s[4] : s[4] + s[5]] for s in sections}


def most_registers(info: bytes) -> int:
    """The most registers that a thread of a kernel takes, of the records (form, attribute, size or value) of `.nv.info`."""
    at, most = 0, 0
    while at + 4 <= len(info):
        form, attribute, size = struct.unpack_from("<2BH", info, at)
        if form == SIZED and attribute == REGISTERS:
            most = max(most, struct.unpack_from("<I", info, at + 8)[0])
        at += 4 + size * (form == SIZED)
    return most


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
            sections, wanted = sections_of(code), entries_of(source)
            lost = [kernel for kernel in wanted if f".text.{kernel}" not in sections]
            state = f"FAILED, without {', '.join(sorted(lost))}" if lost or not wanted else "ok"
            registers = most_registers(sections[".nv.info"])
            figures = f"{len(wanted):3d} kernels, {len(code) / 1e3:7.1f} kB, at most {registers:3d} registers"
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
