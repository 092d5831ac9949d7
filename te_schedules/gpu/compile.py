"""From CUDA C++ to machine code of one GPU, by NVIDIA's compiler, which a machine without a GPU can have."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import tempfile

from te_schedules.gpu import prelude

_FLAGS = ("-cubin", "-O3", "--std=c++17", "--diag-suppress=177,550", "-w")


class CudaError(RuntimeError):
    """nvcc is missing, or refuses a source."""


def cubin(source: str, arch: str) -> bytes:
    """The machine code of a module for `arch` (such as "sm_90"). Raises CudaError."""
    if (nvcc := shutil.which("nvcc")) is None:
        raise CudaError("nvcc is not in PATH; install NVIDIA's CUDA toolkit (a GPU is not needed)")
    with tempfile.TemporaryDirectory(prefix="tvm-rank-") as folder:
        path = pathlib.Path(folder, "kernels.cu")
        path.write_text(prelude.tidied(source), encoding="utf-8")
        out = path.with_suffix(".cubin")
        done = subprocess.run(
            [nvcc, *_FLAGS, f"-arch={arch}", "-o", str(out), str(path)], capture_output=True, text=True, check=False
        )
        if "Unsupported gpu architecture" in done.stderr:
            raise CudaError(f"{nvcc} makes no code for {arch}; `nvcc --list-gpu-code` says for which GPUs it does")
        if done.returncode != 0:
            raise CudaError(f"nvcc refuses the kernels: {done.stderr.strip()[-2000:]}")
        return out.read_bytes()
