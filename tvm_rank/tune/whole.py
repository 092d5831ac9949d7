"""The last look: the model with all that was found against the model as it was, from raw fields to scores, in turn, at each batch size.

A kernel that is faster alone may be none in a model: it finds other data in the caches, and other code beside it. What makes the model
slower, or changes a score, is dropped.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np

from tvm_rank.artifact import store
from tvm_rank.artifact.artifact import Artifact
from tvm_rank.runtime.engine import Engine, load
from tvm_rank.schedule import Schedule
from tvm_rank.tune.records import LEAST_NOISE, SCORE_TOLERANCE
from tvm_rank.tune.requests import RequestData

LOADS, MOST_LOADS = 5, 15  # each loads both anew: where memory happens to lie makes a difference of a few percent
LOAD_S, LEAST_ROUNDS, MOST_ROUNDS = 0.8, 3, 40  # of both at a batch size, for each load
P = ParamSpec("P")
T = TypeVar("T")
FIGURES = ("default_seconds", "ratios", "least", "largest")  # of Compared, for each batch size


@dataclass(frozen=True, kw_only=True)
class Compared:
    """For each batch size: seconds of a request of the default, and the other one's time over it: the median over the loads, the least and
    the largest. difference: the largest one of a score s, in parts of max(1, |s|)."""

    default_seconds: tuple[float, ...]
    ratios: tuple[float, ...]
    least: tuple[float, ...]
    largest: tuple[float, ...]
    difference: float

    @property
    def is_slower(self) -> bool:
        """Slower at some batch size by more than is noise."""
        return any(ratio > 1 + LEAST_NOISE for ratio in self.ratios)

    @property
    def is_clear(self) -> bool:
        """Slower at no batch size, or at one each time that both were loaded; otherwise more loads may tell."""
        return not self.is_slower or any(
            r > 1 + LEAST_NOISE and least > 1 for r, least in zip(self.ratios, self.least, strict=True)
        )

    @property
    def is_fine(self) -> bool:
        """Slower at no batch size, and of the same scores."""
        return self.difference <= SCORE_TOLERANCE and not self.is_slower


def _apart(function: Callable[P, T]) -> Callable[P, T]:
    """The function in a thread of its own: TVM keeps a pool for each calling thread, which would stay as small as it was used first."""

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        with ThreadPoolExecutor(1) as apart:
            return apart.submit(function, *arguments, **named).result()

    return call


@_apart
def compared(
    default: pathlib.Path,
    other: pathlib.Path,
    data: RequestData,
    batch_sizes: Sequence[int],
    threads: int,
    look: Callable[[], None],
) -> Compared:
    """Two artifacts on the same requests; `look()` is called now and then, and may end it."""
    requests = {rows: data.requests(rows) for rows in batch_sizes}
    ratios: dict[int, list[float]] = {rows: [] for rows in batch_sizes}
    least = dict.fromkeys(batch_sizes, np.inf)
    difference = 0.0
    for number in range(MOST_LOADS):
        folders = (default, other) if number % 2 else (other, default)
        first, second = (load(folder, threads=threads, verify=False) for folder in folders)
        engines = (first, second) if number % 2 else (second, first)
        for rows in batch_sizes:
            look()
            difference = max(difference, *(_difference(engines, request) for request in requests[rows]))
            ratio, seconds = _in_turn(engines, requests[rows])
            ratios[rows].append(ratio)
            least[rows] = min(least[rows], seconds)
        found = Compared(
            default_seconds=tuple(float(least[rows]) for rows in batch_sizes),
            ratios=tuple(float(np.median(ratios[rows])) for rows in batch_sizes),
            least=tuple(min(ratios[rows]) for rows in batch_sizes),
            largest=tuple(max(ratios[rows]) for rows in batch_sizes),
            difference=difference,
        )
        if number + 1 >= LOADS and found.is_clear:
            break
    return found


def _difference(engines: Sequence[Engine], request: Mapping[str, Any]) -> float:
    """The largest difference of a score."""
    wanted, got = (engine.rank(**request) for engine in engines)
    largest = 0.0
    for name, scores in wanted.items():
        gap = np.abs(got[name].astype(np.float64) - scores) / np.maximum(1.0, np.abs(scores))
        gap[np.isnan(got[name]) & np.isnan(scores)] = 0.0
        largest = max(largest, float(np.nan_to_num(gap, nan=np.inf).max(initial=0)))
    return largest


def _in_turn(engines: Sequence[Engine], requests: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """(the second one's time over the first one's, the median over the rounds; seconds of a request of the first, the median). In a round
    both take all requests, one of each in turn and half of the requests apart, so that neither warms the tables for the other."""
    count, started = len(requests), time.perf_counter()
    rounds: list[list[float]] = []
    while len(rounds) < LEAST_ROUNDS or (time.perf_counter() - started < LOAD_S and len(rounds) < MOST_ROUNDS):
        sums, order = [0.0, 0.0], (0, 1) if len(rounds) % 2 else (1, 0)
        for k in range(count):
            for place in order:
                request = requests[(k + place * count // 2) % count]
                begun = time.perf_counter()
                engines[place].rank(**request)
                sums[place] += time.perf_counter() - begun
        rounds.append(sums)
    times = np.array(rounds)
    return float(np.median(times[:, 1] / times[:, 0])), float(np.median(times[:, 0]) / count)


def with_code(folder: pathlib.Path, artifact: Artifact, out: pathlib.Path) -> pathlib.Path:
    """The artifact at `out`, with the files of the one at `folder` but for its code: both are the same model with other kernels."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder, out, copy_function=os.link)
    known = store.read(folder, verify=False)
    libraries = (store.LIBRARY, store.STORE_LIBRARY)
    for name in libraries:
        (out / name).unlink(missing_ok=True)
    artifact.write_library(out)
    files = store.entries(out, {name: entry for name, entry in known.files.items() if name not in libraries})
    files.pop(store.MANIFEST)
    (out / store.MANIFEST).unlink()
    manifest = dataclasses.replace(artifact.manifest, files=files, stacks=known.stacks, store=known.store, samples=known.samples)
    (out / store.MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return out


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """What of the choices is kept and what is dropped, by kernel, and the comparison of what is kept; None when that is nothing."""

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    compared: Compared | None


def confirmed(
    inputs: Mapping[str, Any], base: Schedule, kernels: Mapping[str, Any], contest: Callable[[Artifact], Compared]
) -> Confirmed:
    """Compile the model of `inputs` with these knobs in addition to those of `base`, and compare; where that is not fine, look at the
    kernels one by one. `contest` compares an artifact with the default one."""
    from tvm_rank.compiler import compile

    def tried(names: Sequence[str]) -> Compared:
        schedule = dataclasses.replace(base, kernels={**base.kernels, **{name: kernels[name] for name in names}})
        return contest(compile(**{**inputs, "tuning": schedule}))

    names = tuple(kernels)
    if not names:
        return Confirmed(kept=(), dropped=(), compared=None)
    if (whole := tried(names)).is_fine:
        return Confirmed(kept=names, dropped=(), compared=whole)
    fine = tuple(name for name in names if tried((name,)).is_fine) if len(names) > 1 else ()
    again = tried(fine) if fine else None
    if again is None or not again.is_fine:
        return Confirmed(kept=(), dropped=names, compared=None)
    return Confirmed(kept=fine, dropped=tuple(name for name in names if name not in fine), compared=again)
