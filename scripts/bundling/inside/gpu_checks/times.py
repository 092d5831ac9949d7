"""Times of calls: the median and the slow ones."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

LEAST, WARM = 20, 3


def measured(calls: Sequence[Callable[[], Any]], seconds: float) -> dict[str, Any]:
    """{"calls", "p50_us", "p99_us", "mean_us"} of the calls, made in turn for so many seconds, a few before them for warming up."""
    for k in range(max(WARM, len(calls))):
        calls[k % len(calls)]()
    gc.collect()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST or time.perf_counter() < end:
        call, before = calls[len(times) % len(calls)], time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    taken = np.array(times) * 1e6
    p50, p99 = (round(float(np.percentile(taken, q)), 2) for q in (50, 99))
    return {"calls": len(times), "p50_us": p50, "p99_us": p99, "mean_us": round(float(taken.mean()), 2)}
