"""Calls of kernels inside of requests, in the worker processes of tuning: feature kernels read columns by their addresses, so they are
measured while requests wait in front of them (`runtime.held`)."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tvm

from te_schedules.dense.pack import pack_panels, unpack
from tvm_rank.runtime.engine import Engine, load
from tvm_rank.runtime.held import HeldCall, alternated
from tvm_rank.tune.requests import read_requests
from tvm_rank.tune.timed import ENTRY, check, unwritten


class LiveCall:
    """What `arguments.json` of a recorded call says, a mapping:

    artifact: its folder · requests: a folder of requests · kernel: its name in the artifact · outputs: how many of its last arguments it
    writes · constants: argument -> the files of its values, one for each form of the kernel · weights: argument -> outputs of the layer
    whose packed weight it is.
    """

    def __init__(self, folder: str, entries: Mapping[str, Any]):
        self.entries = entries
        engine = _engine(entries["artifact"])
        held = [HeldCall(engine, entries["kernel"], request) for request in read_requests(entries["requests"])]
        self.arguments = [one.arguments for one in held]
        self._held = held  # their requests wait as long as this is there
        self._constants = {
            int(place): [np.load(pathlib.Path(folder, name)) for name in names] for place, names in entries["constants"].items()
        }

    def seconds(self, candidate: Any, default: Any, device: Any, config: Any) -> list[float]:
        """[candidate, default] (`calls.Kernel`) in seconds of a call; each request is run by both. Raises ValueError when results differ."""
        mine, wanted = (self.tensors(device, kernel.shapes) for kernel in (candidate, default))
        for one, other in zip(mine, wanted, strict=True):
            default.library[ENTRY](*other)
            expected = self._outputs(other)
            candidate.library[ENTRY](*one)
            check(self._outputs(one), expected)
        return alternated((candidate.library[ENTRY], mine), (default.library[ENTRY], wanted), config.repeat)

    def tensors(self, device: Any, shapes: Sequence[Sequence[int]]) -> list[list[Any]]:
        """Arguments for each request. shapes: of a kernel with constants, the form; of one with weights, the width of each."""
        replaced: dict[int, Any] = {}
        for place, forms in self._constants.items():
            replaced[place] = forms[int(shapes[0][0])]
        for (place, units), shape in zip(self.entries["weights"].items(), shapes if self.entries["weights"] else (), strict=True):
            packed = np.from_dlpack(self.arguments[0][int(place)])
            replaced[int(place)] = pack_panels(unpack(packed, units), int(shape[-1]))
        count = len(self.arguments[0])
        for place in range(count - self.entries["outputs"], count):
            of = np.from_dlpack(self.arguments[0][place])
            replaced[place] = unwritten(of.shape, str(of.dtype))
        made = {place: tvm.runtime.tensor(array, device=device) for place, array in replaced.items()}
        return [[made.get(place, argument) for place, argument in enumerate(one)] for one in self.arguments]

    def _outputs(self, tensors: Sequence[Any]) -> list[np.ndarray]:
        return [tensor.numpy() for tensor in tensors[-self.entries["outputs"] :]]


@functools.cache
def _engine(folder: str) -> Engine:
    """The artifact of a folder, loaded once in a process."""
    return load(folder, threads=1, verify=False)
