"""Recorded calls of kernels, in the worker processes of tuning, on this machine or on a server that has TVM's runtime alone.

A folder has `arguments.json` and arrays. A list there are the arguments of `ArrayCall`, a mapping those of `PackedCall`, or, with an
`artifact`, of `live.LiveCall`.
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import tvm

from te_schedules.column import WORDS
from te_schedules.dense.pack import pack_panels
from te_schedules.feature.kind import HEAP_RULE, RULE
from tvm_rank.tune.live import LiveCall
from tvm_rank.tune.timed import ENTRY, alternated, check, unwritten

ARGUMENTS = "arguments.json"
ARRAY, WEIGHT, OUTPUT = "array", "weight", "output"
PLACE, FILL = "place_columns", "fill_{}"  # functions beside a kernel of features (`te_schedules/replay.py`)


class Kernel(NamedTuple):
    """A library, and the shapes of its arguments, as its task says them."""

    library: Any
    shapes: Sequence[Sequence[int]]


class Recorded(Protocol):
    """A recorded call."""

    def seconds(self, candidate: Kernel, default: Kernel, device: Any, config: Any) -> list[float]:
        """[candidate, default] in seconds of a call. Raises ValueError when results differ."""


@functools.cache
def call_of(folder: str) -> Recorded:
    """The recorded call of a folder, read once in a process."""
    entries = json.loads(pathlib.Path(folder, ARGUMENTS).read_text(encoding="utf-8"))
    if isinstance(entries, list):
        return ArrayCall(folder, entries)
    return LiveCall(folder, entries) if "artifact" in entries else PackedCall(folder, entries)


class ArrayCall:
    """A call with arrays. Entries:

    {"kind": "array", "file": name}                              read by the kernel
    {"kind": "weight", "file": name}                             (K, J), to be packed in panels of the candidate's width
    {"kind": "output", "shape": [...], "dtype": ...}             written by it
    """

    def __init__(self, folder: str, entries: Sequence[dict[str, Any]]):
        self.entries = entries
        self.arrays = {e["file"]: np.load(pathlib.Path(folder, e["file"])) for e in self.entries if "file" in e}

    def seconds(self, candidate: Kernel, default: Kernel, device: Any, config: Any) -> list[float]:
        """See `Recorded`."""
        mine, wanted = (self._tensors(kernel.shapes, device) for kernel in (candidate, default))
        default.library[ENTRY](*wanted)
        candidate.library[ENTRY](*mine)
        check(self._outputs(mine), self._outputs(wanted))
        return alternated((candidate.library, [mine]), (default.library, [wanted]), device, config)

    def _tensors(self, shapes: Sequence[Sequence[int]], device: Any) -> list[Any]:
        """New tensors on the device; of the shapes those of weights count."""
        return [self._tensor(entry, shape, device) for entry, shape in zip(self.entries, shapes, strict=True)]

    def _tensor(self, entry: dict[str, Any], shape: Sequence[int], device: Any) -> Any:
        if entry["kind"] == OUTPUT:
            array = unwritten(entry["shape"], entry["dtype"])
        elif entry["kind"] == WEIGHT:
            array = pack_panels(self.arrays[entry["file"]], int(shape[-1]))
        else:
            array = self.arrays[entry["file"]]
        return tvm.runtime.tensor(array, device=device)

    def _outputs(self, tensors: Sequence[Any]) -> list[np.ndarray]:
        """What a kernel wrote."""
        return [t.numpy() for entry, t in zip(self.entries, tensors, strict=True) if entry["kind"] == OUTPUT]


class PackedCall:
    """A kernel of features on requests whose columns are packed in one array each (`packed.py`). Entries:

    requests: [words, memory], files of each · constants: for each argument behind the descriptors its files, one for each form of the
    kernel · tables: [shape, dtype] of each; their rows are made there · outputs: [shape, dtype] of each, the last of them the statuses.
    """

    def __init__(self, folder: str, entries: Mapping[str, Any]):
        def read(name: str) -> np.ndarray:
            found: np.ndarray = np.load(pathlib.Path(folder, name))
            return found

        self._requests = [tuple(map(read, files)) for files in entries["requests"]]
        self._constants = [[read(name) for name in files] for files in entries["constants"]]
        self._tables, self._outputs = entries["tables"], entries["outputs"]

    def seconds(self, candidate: Kernel, default: Kernel, device: Any, config: Any) -> list[float]:
        """See `Recorded`. The requests are run in turn."""
        memory = [tvm.runtime.tensor(memory, device=device) for _, memory in self._requests]
        columns, tables = self.columns(default, memory, device), self.tables(default, device)
        mine, wanted = (self.arguments(kernel, columns, tables, device) for kernel in (candidate, default))
        for one, other in zip(mine, wanted, strict=True):
            default.library[ENTRY](*other)
            candidate.library[ENTRY](*one)
            outputs = self.outputs(one), self.outputs(other)
            for *_, statuses in outputs:
                refuse_without_memory(statuses)
            check(*outputs)
        found = alternated((candidate.library, mine), (default.library, wanted), device, config)
        del memory  # which the columns led to until here
        return found

    def columns(self, kernel: Kernel, memory: Sequence[Any], device: Any) -> list[Any]:
        """Descriptors of each request, which lead to where its bytes are."""
        found = []
        for (words, _), one in zip(self._requests, memory, strict=True):
            found.append(tvm.runtime.empty([len(words), WORDS], "int64", device))
            kernel.library[PLACE](one, tvm.runtime.tensor(words, device=device), found[-1])
        return found

    def tables(self, kernel: Kernel, device: Any) -> list[Any]:
        """Tables with numbers that are made there."""
        found = [tvm.runtime.empty(shape, dtype, device) for shape, dtype in self._tables]
        for k, table in enumerate(found):
            kernel.library[FILL.format(k)](table)
        return found

    def arguments(self, kernel: Kernel, columns: Sequence[Any], tables: Sequence[Any], device: Any) -> list[list[Any]]:
        """The kernel's, for each request; outputs are the same ones for all."""
        ((form,),) = kernel.shapes
        constants = [tvm.runtime.tensor(forms[form], device=device) for forms in self._constants]
        outputs = [tvm.runtime.tensor(unwritten(shape, dtype), device=device) for shape, dtype in self._outputs]
        return [[one, *constants, *tables, *outputs] for one in columns]

    def outputs(self, arguments: Sequence[Any]) -> list[np.ndarray]:
        """What the kernel wrote."""
        return [tensor.numpy() for tensor in arguments[-len(self._outputs) :]]


def refuse_without_memory(statuses: np.ndarray) -> None:
    """Raise ValueError where threads of a GPU ended because its heap had no more memory: such a kernel's time is that of less work."""
    if (statuses > HEAP_RULE * RULE).any():
        raise ValueError(
            "the GPU has no more memory for the texts and lists of all rows at once; take smaller batch sizes or shorter values"
        )
