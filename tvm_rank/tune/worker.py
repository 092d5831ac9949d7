"""What runs in the worker processes of tuning: MetaSchedule's builder and runner call these functions there.

A candidate is run on recorded calls (`calls.py`), its results are compared with those of the default kernel, and only then both are timed.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import tvm

from te_schedules.gpu.build import PIPELINE as GPU_PIPELINE
from te_schedules.gpu.build import as_source
from te_schedules.gpu.compile import cubin
from te_schedules.gpu.packed_code import source_of, write_packed
from te_schedules.lower import PIPELINE
from tvm_rank.artifact.link import link
from tvm_rank.tune.calls import Kernel, call_of

LIBRARY = "kernel.so"
SHARE_ALL_CORES, BIG_CORES = -3, 1  # TVM's affinity modes; the first one takes a list, which cannot be sent to a server
DEFAULT_LIBRARY = "default.so"  # its name on a server


def build(mod: tvm.IRModule, target: tvm.target.Target, _params: Any) -> tvm.runtime.Module:
    """Machine code of a candidate; for a GPU, its source."""
    if target.kind.name == "cuda":
        with as_source():
            return tvm.tirx.build(mod, target=target, pipeline=GPU_PIPELINE)
    return tvm.tirx.build(mod, target=target, pipeline=PIPELINE)


def export(module: tvm.runtime.Module, *, target: str, machine: str, folder: str) -> str:
    """The path of the candidate's library, in a folder of its own inside of `folder`; of kernels for a GPU it has the machine code."""
    path = pathlib.Path(tempfile.mkdtemp(dir=folder)) / LIBRARY
    if (source := source_of(module)) is None:
        link(module, path, machine)
        return str(path)
    of = tvm.target.Target(target)
    code, imported = cubin(source, str(of.attrs["arch"])), path.with_suffix(".o")

    def pack(packed: Any, *_more: Any) -> str:
        write_packed(packed, code, of, imported)
        return str(imported)

    link(module, path, machine, fpack_imports=pack)
    return str(path)


def shapes_of(_device: Any, args_info: Sequence[Any], _repeat: int) -> list[list[Any]]:
    """The shapes of a candidate's arguments, in the place of the arguments: what these are each recorded call says itself."""
    return [[list(entry[2]) for entry in args_info]]


def evaluate(
    module: Any,
    device: Any,
    config: Any,
    repeated: Sequence[Sequence[Any]],
    *,
    calls: Sequence[str],
    default: str,
    default_shapes: Sequence[Sequence[int]],
    threads: int,
) -> list[float]:
    """[seconds of the candidate, of the default] for each recorded call, one behind the other."""
    tvm.get_global_func("runtime.config_threadpool")(SHARE_ALL_CORES, threads, [str(core) for core in range(threads)])
    return _all_calls(module, tvm.runtime.load_module(default), device, config, repeated, calls, default_shapes)


def shapes_of_remote(_session: Any, device: Any, args_info: Sequence[Any], repeat: int) -> list[list[Any]]:
    """`shapes_of` for a server."""
    return shapes_of(device, args_info, repeat)


def evaluate_remote(
    session: Any,
    module: Any,
    device: Any,
    config: Any,
    repeated: Sequence[Sequence[Any]],
    *,
    calls: Sequence[str],
    default: str,
    default_shapes: Sequence[Sequence[int]],
    threads: int,
) -> list[float]:
    """`evaluate` on a server, which gets the library of the default too."""
    session.get_function("runtime.config_threadpool")(BIG_CORES, threads)
    session.upload(default, DEFAULT_LIBRARY)
    return _all_calls(module, session.load_module(DEFAULT_LIBRARY), device, config, repeated, calls, default_shapes)


def _all_calls(
    module: Any,
    default: Any,
    device: Any,
    config: Any,
    repeated: Sequence[Sequence[Any]],
    calls: Sequence[str],
    shapes: Sequence[Sequence[int]],
) -> list[float]:
    (of_candidate,) = repeated
    sides = Kernel(module, of_candidate), Kernel(default, shapes)
    return [seconds for folder in calls for seconds in call_of(folder).seconds(*sides, device, config)]
