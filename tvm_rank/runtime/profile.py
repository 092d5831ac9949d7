"""How long each kernel of a request takes, measured inside of the engine."""

from __future__ import annotations

import collections
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvm_rank.runtime.engine import Engine


@dataclass(frozen=True, kw_only=True)
class KernelTime:
    """calls: in one request · seconds: of all calls of a request together, the median over the requests."""

    name: str
    calls: float
    seconds: float


def profile(engine: Engine, requests: Sequence[Mapping[str, Any]], turns: int = 10) -> tuple[float, tuple[KernelTime, ...]]:
    """(seconds of a request, its kernels, the longest first): medians over `turns` rounds of `requests`, keyword arguments of `rank`.

    The request's time is measured without the hook that measures the kernels, whose times each hold about a microsecond of it; on a GPU
    each holds its start and the wait for its end. Not for an engine that other threads use meanwhile.
    """
    for request in requests:
        engine.rank(**request)
    whole = [_seconds(engine, request) for _ in range(turns) for request in requests]
    hook = _Hook()
    sums: dict[str, list[float]] = collections.defaultdict(list)
    calls: collections.Counter[str] = collections.Counter()
    with engine.machines.watched(hook):
        for request in [request for _ in range(turns) for request in requests]:
            hook.times.clear()
            engine.rank(**request)
            for name, times in hook.times.items():
                sums[name].append(sum(times))
                calls[name] += len(times)
    count = turns * len(requests)
    found = [KernelTime(name=n, calls=calls[n] / count, seconds=float(np.median(times))) for n, times in sums.items()]
    return float(np.median(whole)), tuple(sorted(found, key=lambda kernel: -kernel.seconds))


def _seconds(engine: Engine, request: Mapping[str, Any]) -> float:
    started = time.perf_counter()
    engine.rank(**request)
    return time.perf_counter() - started


class _Hook:
    """Called by the virtual machine before and after each kernel; functions that call kernels, and built-in ones, are not kept."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = collections.defaultdict(list)
        self._started: list[float] = []

    def __call__(self, _function: Any, name: str, before: bool, _result: Any, *_arguments: Any) -> int:
        if before:
            self._started.append(time.perf_counter())
        else:
            took = time.perf_counter() - self._started.pop()
            if not str(name).startswith("vm.builtin") and str(name) not in ("main", "rank_columns", "rank_store_columns"):
                self.times[str(name)].append(took)
        return 0
