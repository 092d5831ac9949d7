"""TVM's runtime, without its compiler: loading it, and the number of threads that kernels use.

`import tvm` takes about 2 s and brings a compiler of 259 MB; an engine needs `libtvm_runtime` (3.4 MB) and `tvm_ffi` only.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pathlib
import threading
import warnings
from typing import Any

from tvm_rank.errors import RankError

SHARE_ALL_CORES = -3  # TVM's affinity mode
_here = threading.local()  # TVM keeps one pool for each calling thread


@functools.cache
def load() -> None:
    """Load TVM's runtime library once. Raises RankError when it is not installed."""
    # Without this, TVM binds the calling thread, which is not ours, to core 0. Only set when the user has not.
    os.environ.setdefault("TVM_BIND_THREADS", "0")
    try:
        from tvm_ffi.libinfo import load_lib_ctypes

        load_lib_ctypes("tvm", "tvm_runtime", "RTLD_GLOBAL", extra_lib_paths=_folders())
    except (ImportError, OSError, RuntimeError) as error:
        raise RankError(
            f"TVM's runtime library cannot be loaded ({error}); install apache-tvm and apache-tvm-ffi as setup.py pins them"
        ) from error


@functools.cache
def load_cuda() -> None:
    """Load the part of TVM's runtime for GPUs once. Raises OSError when it, or what it needs of NVIDIA, is not here."""
    load()
    from tvm_ffi.libinfo import load_lib_ctypes

    try:
        load_lib_ctypes("tvm", "tvm_runtime_cuda", "RTLD_GLOBAL", extra_lib_paths=_folders())
    except (ImportError, RuntimeError) as error:
        raise OSError(str(error)) from error


def _folders() -> list[pathlib.Path]:
    """Where TVM's libraries may lie."""
    folders = [pathlib.Path(p) for p in os.environ.get("TVM_LIBRARY_PATH", "").split(os.pathsep) if p]
    spec = importlib.util.find_spec("tvm")
    return folders + [pathlib.Path(p) / "lib" for p in (spec.submodule_search_locations or [] if spec else [])]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def use_threads(count: int) -> None:
    """Let kernels called from this thread run on `count` threads, the caller included.

    TVM's pool of a thread cannot grow: if it was made smaller before, or the process was forked since, it stays so, with a warning.
    """
    if getattr(_here, "used", None) == count:
        return
    import tvm_ffi

    if getattr(_here, "size", None) is None:
        _here.size, _here.most, _here.why = count, count, f"was made with {count} threads"
    if count > _here.most:
        warnings.warn(
            f"this thread's pool {_here.why} and cannot grow to {count}; call the larger engine first, or from another thread",
            RuntimeWarning,
            stacklevel=3,
        )
    configure: Any = tvm_ffi.get_global_func("runtime.config_threadpool")
    configure(SHARE_ALL_CORES, min(count, _here.most), [str(core) for core in range(_here.size)])
    _here.used = count


def _forked() -> None:
    """In the child, which has none of the threads that the pool of the thread that forked had: a kernel would wait for them for ever. Threads
    that begin in the child make pools of their own."""
    if getattr(_here, "size", None) is not None:
        _here.most, _here.used, _here.why = 1, None, "has one thread since the process was forked"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
