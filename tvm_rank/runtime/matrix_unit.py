"""The CPU's matrix unit (AMX): a process must ask Linux before it uses the tiles, and is ended if it did not."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from typing import Any

from tvm_rank.artifact.manifest import Manifest
from tvm_rank.runtime.library import kernel
from tvm_rank.runtime.this_machine import cpu_flags

# of the C library's syscall, which has no arch_prctl: that, ARCH_REQ_XCOMP_PERM, XTILE_DATA (Linux, Documentation/arch/x86/xstate.rst)
REQUEST = (158, 0x1023, 18)
SWITCH = "use_matrix_unit"  # the function of a library (te_schedules/dense/reduced/matrix.py)


def enable(library: Any, manifest: Manifest, where: str) -> None:
    """Let the kernels of a library use the matrix unit if they have code for it and this process may; else warn: they use vector
    instructions, with nearly the same results."""
    if not (needed := flags_of(manifest)):
        return
    why = refused(needed)
    if why:
        warnings.warn(
            f"{where}: its dense layers were compiled for the CPU's matrix unit (AMX), but {why}; they use vector instructions, which are "
            "slower",
            RuntimeWarning,
            stacklevel=4,
        )
    kernel(library, SWITCH)(0 if why else 1)


def flags_of(manifest: Manifest) -> frozenset[str]:
    """The flags of /proc/cpuinfo, beside amx_tile, by which kernels of an artifact use the matrix unit; none without code for it."""
    return frozenset(str(one["matrix_flag"]) for one in manifest.kernels if "matrix_flag" in one)


def refused(needed: frozenset[str]) -> str:
    """Why this process may not use the matrix unit; "" when it may, from now on, in all its threads. needed: flags of /proc/cpuinfo."""
    if missing := sorted({"amx_tile", *needed} - cpu_flags()):
        return f"this CPU lacks {', '.join(missing)}"
    if sys.platform != "linux":
        return f"{sys.platform} is not asked for it"
    if error := _asked():
        return f"Linux refuses it to this process ({os.strerror(error)})"
    return ""


def _asked() -> int:
    """Ask for the tiles' state: 0, or the number of the error."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    return ctypes.get_errno() if call(*REQUEST) != 0 else 0
