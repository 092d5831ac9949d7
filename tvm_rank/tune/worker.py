"""What runs in the worker processes of tuning: MetaSchedule's builder and runner call these functions there.

A candidate is run on recorded arguments (`Call`), its results are compared with those of the default kernel, and only then both are
timed, in alternation, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import functools
import json
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm

from te_schedules.dense.pack import pack_panels
from te_schedules.gpu.build import PIPELINE as GPU_PIPELINE
from te_schedules.gpu.build import as_source
from te_schedules.gpu.compile import cubin
from te_schedules.gpu.packed_code import source_of, write_packed
from te_schedules.lower import PIPELINE
from tvm_rank.artifact.link import link
from tvm_rank.runtime import held
from tvm_rank.tune.live import LiveCall

LIBRARY, ENTRY = "kernel.so", "kernel"
ARGUMENTS = "arguments.json"
ARRAY, WEIGHT, OUTPUT = "array", "weight", "output"
TOLERANCE = 1e-5  # of the largest number of an output: sums in another order differ by so much
ROUND_S, LEAST_ROUNDS = 2.5e-3, 5  # of runs of one kernel in a round; kernels that take longer are measured in fewer rounds
SHORT_S = 3e-4  # of one run, in which a quick kernel is called several times
FIRST_RUNS = 2  # before times count: pages, caches and the thread pool
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


class Call:
    """A recorded call of a kernel: a folder with `arguments.json`, a list of

    {"kind": "array", "file": name}                              read by the kernel
    {"kind": "weight", "file": name}                             (K, J), to be packed in panels of the candidate's width
    {"kind": "output", "shape": [...], "dtype": ...}             written by it
    """

    def __init__(self, folder: str, entries: Sequence[dict[str, Any]]):
        self.entries = entries
        self.arrays = {e["file"]: np.load(pathlib.Path(folder, e["file"])) for e in self.entries if "file" in e}

    def tensors(self, device: Any, shapes: Sequence[Sequence[int]]) -> list[Any]:
        """New tensors on the device; `shapes` are the candidate's, of which those of weights count."""
        return [self._tensor(entry, shape, device) for entry, shape in zip(self.entries, shapes, strict=True)]

    def _tensor(self, entry: dict[str, Any], shape: Sequence[int], device: Any) -> Any:
        if entry["kind"] == OUTPUT:
            dtype = np.dtype(entry["dtype"])  # NaN, so that what a kernel does not write is seen
            array = np.full(entry["shape"], np.nan if dtype.kind == "f" else -1, dtype)
        elif entry["kind"] == WEIGHT:
            array = pack_panels(self.arrays[entry["file"]], int(shape[-1]))
        else:
            array = self.arrays[entry["file"]]
        return tvm.runtime.tensor(array, device=device)

    def outputs(self, tensors: Sequence[Any]) -> list[np.ndarray]:
        """What a kernel wrote."""
        return [t.numpy() for entry, t in zip(self.entries, tensors, strict=True) if entry["kind"] == OUTPUT]


@functools.cache
def call_of(folder: str) -> Call | LiveCall:
    """The recorded call of a folder, read once in a process."""
    entries = json.loads(pathlib.Path(folder, ARGUMENTS).read_text(encoding="utf-8"))
    return LiveCall(folder, entries) if isinstance(entries, dict) else Call(folder, entries)


def allocate(device: Any, args_info: Sequence[Any], _repeat: int, *, calls: Sequence[str]) -> list[list[Any]]:
    """For each recorded call the candidate's arguments; `args_info` as of the candidate."""
    return [call_of(folder).tensors(device, [entry[2] for entry in args_info]) for folder in calls]


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


def allocate_remote(_session: Any, device: Any, args_info: Sequence[Any], repeat: int, *, calls: Sequence[str]) -> list[list[Any]]:
    """`allocate` on a server."""
    return allocate(device, args_info, repeat, calls=calls)


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
    default_shapes: Sequence[Sequence[int]],
) -> list[float]:
    found: list[float] = []
    for folder, tensors in zip(calls, repeated, strict=True):
        call = call_of(folder)
        expected = call.tensors(device, default_shapes)
        if isinstance(call, LiveCall):
            sides = (module[ENTRY], tensors), (default[ENTRY], expected)
            call.check(*sides, check)
            found += held.alternated(*sides, config.repeat)
        else:
            found += alternated(call, (module, tensors), (default, expected), device, config)
    return found


Side = tuple[Any, Sequence[Any]]  # a library and its arguments


def alternated(call: Call, candidate: Side, default: Side, device: Any, config: Any) -> list[float]:
    """[candidate, default] in seconds of one call, over up to `config.repeat` rounds of up to `config.number` short runs each; raises
    ValueError when results differ.

    The default's time is its least. The candidate's is that times the median over the rounds of the ratio of both: a shared core runs at
    one speed for some milliseconds and at another then, and a round is shorter than that.
    """
    for module, tensors in (default, candidate):
        for _ in range(FIRST_RUNS):
            module[ENTRY](*tensors)
    check(call.outputs(candidate[1]), call.outputs(default[1]))
    timers = [_Timer(side, device, config.number) for side in (candidate, default)]
    ratios, least = [], np.inf
    for turn in range(max(LEAST_ROUNDS, min(config.repeat, int(config.repeat * ROUND_S / timers[1].seconds)))):
        order = (0, 1) if turn % 2 else (1, 0)  # neither is always behind the other
        times = {k: timers[k].least() for k in order}
        ratios.append(times[0] / times[1])
        least = min(least, times[1])
    return [float(least * np.median(ratios)), float(least)]


class _Timer:
    """Short runs of a kernel: up to `runs` at a time, fewer when one takes long. `seconds`: of all of them, about."""

    def __init__(self, side: Side, device: Any, runs: int):
        module, self.tensors = side
        first = min(module.time_evaluator(ENTRY, device, number=1, repeat=FIRST_RUNS)(*self.tensors).results)
        calls, repeat = max(1, int(SHORT_S / first)), max(1, min(runs, int(ROUND_S / 2 / first)))
        self.seconds = max(SHORT_S, first) * repeat
        self._evaluate = module.time_evaluator(ENTRY, device, number=calls, repeat=repeat)

    def least(self) -> float:
        """Seconds of a call, the least of the runs: whatever else the machine does only adds to a time."""
        return float(min(self._evaluate(*self.tensors).results))


def check(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    """Raise ValueError when results are not those of the default kernel."""
    for k, (got, want) in enumerate(zip(outputs, expected, strict=True)):
        finite = np.isfinite(want) if want.dtype.kind == "f" else np.ones(want.shape, bool)
        if not np.array_equal(got[~finite], want[~finite], equal_nan=want.dtype.kind == "f"):
            raise ValueError(f"output {k} differs from the default kernel's")
        limit = TOLERANCE * max(1.0, float(np.abs(want[finite]).max(initial=0))) if want.dtype.kind == "f" else 0
        difference = float(np.abs(got[finite].astype(np.float64) - want[finite].astype(np.float64)).max(initial=0))
        if not difference <= limit:
            raise ValueError(f"output {k} differs from the default kernel's by {difference}, more than {limit}")
