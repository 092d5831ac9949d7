"""Requests that wait at one of their kernels, so that it can be run again and again on what they brought there, and timed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvm_rank.errors import RankError
from tvm_rank.runtime.engine import Engine

ROUND_S, LEAST_ROUNDS = 2e-2, 5  # of a round in which each kernel runs once on each request; longer ones are fewer
Side = tuple[Any, Sequence[Sequence[Any]]]  # a kernel, and its arguments for each request


class HeldCall:
    """The first call of a kernel in a request; `arguments` are the kernel's, as the virtual machine gives them, its outputs last.

    The request waits in a thread of its own until `release`: arguments lead to columns, rows and buffers that are gone behind it. The
    engine must not be used by other threads while this is made. Raises RankError when the request fails, or does not call the kernel.
    """

    def __init__(self, engine: Engine, kernel: str, request: Mapping[str, Any]):
        self.arguments: tuple[Any, ...] = ()
        self._kernel = kernel
        self._reached, self._released = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._engine, self._machine = engine, engine.machines.add_watched(self._hook)
        self._thread = threading.Thread(target=self._run, args=(dict(request),), daemon=True)
        self._thread.start()
        self._reached.wait()
        if not self.arguments:
            self.release()
            raise RankError(f"the request does not call {kernel}: {self._error or 'it ended before'}")

    def _hook(self, _function: Any, name: str, before: bool, _result: Any, *arguments: Any) -> int:
        if before and not self.arguments and str(name) == self._kernel:
            self.arguments = arguments
            self._reached.set()
            self._released.wait()
        return 0

    def _run(self, request: dict[str, Any]) -> None:
        try:
            self._engine.rank(**request)
        except Exception as error:  # of another thread, which is told
            self._error = error
        self._reached.set()

    def release(self) -> None:
        """Let the request end; the arguments must not be used any more."""
        self._released.set()
        self._thread.join()
        self._engine.machines.remove(self._machine)


def alternated(candidate: Side, default: Side, rounds: int) -> list[float]:
    """[candidate, default] in seconds of one call, over up to so many rounds. In a round each runs once on each request, in turn with the
    other one, which is half of the requests ahead: a kernel that is second on a request would find its table rows in the caches.

    The default's time is its least mean over a round, the candidate's is that times the median of the ratio of both.
    """
    sides, count = (candidate, default), len(default[1])
    first = _round(sides, count, 0)
    ratios, least = [], first[1]
    for turn in range(max(LEAST_ROUNDS, min(rounds, int(rounds * ROUND_S / sum(first))))):
        mine, other = _round(sides, count, turn)
        ratios.append(mine / other)
        least = min(least, other)
    seconds = least / count
    return [float(seconds * np.median(ratios)), float(seconds)]


def _round(sides: Sequence[Side], count: int, turn: int) -> list[float]:
    """Seconds of both on all requests; with an odd `turn` the other one is ahead."""
    order = (0, 1) if turn % 2 else (1, 0)
    sums = [0.0, 0.0]
    for k in range(count):
        for place in order:
            function, arguments = sides[place]
            given = arguments[(k + place * count // 2) % count]
            started = time.perf_counter()
            function(*given)
            sums[place] += time.perf_counter() - started
    return sums
