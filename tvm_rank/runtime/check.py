"""check: the sample requests of an artifact on this machine, next to the scores that NumPy computed when it was compiled."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import platform
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvm_rank.artifact.samples import SampleRequests, read_samples
from tvm_rank.errors import RankError
from tvm_rank.runtime.engine import Engine, load
from tvm_rank.runtime.this_machine import processor

ROUNDS = 20


@dataclass(frozen=True, kw_only=True)
class OutputCheck:
    """One output of the model over all sample rows: what its scores differ from the expected ones, at most.

    largest: |score - expected| · relative: the same in parts of max(1, |expected|), which may be `tolerance` · nonfinite: how many scores
    are NaN or infinite where the expected ones are not the same.
    """

    output: str
    rows: int
    largest: float
    relative: float
    tolerance: float
    nonfinite: int

    @property
    def ok(self) -> bool:
        """Whether all scores are within the tolerance."""
        return self.nonfinite == 0 and self.relative <= self.tolerance


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What `check` found. source: where the samples come from, "given" to `compile` or "generated" by it · missing: why nothing was
    compared, "" if it was · outputs: () then · load_ms, first_ms, median_ms: of loading, of the first request (with its `request_items`
    items), and of one request after it, over `rounds` of each."""

    artifact: str
    target: str
    machine: str
    threads: int
    source: str
    requests: int
    items: int
    request_items: int
    missing: str
    outputs: tuple[OutputCheck, ...]
    load_ms: float
    first_ms: float
    median_ms: float
    rounds: int

    @property
    def ok(self) -> bool:
        """Whether scores were compared, and all are right."""
        return not self.missing and all(output.ok for output in self.outputs)

    def to_json(self) -> dict[str, Any]:
        """Plain values, `ok` of all and of each output among them."""
        outputs = [{**dataclasses.asdict(output), "ok": output.ok} for output in self.outputs]
        return {**dataclasses.asdict(self), "outputs": outputs, "ok": self.ok}


def check(
    path: str | os.PathLike[str], *, tolerance: float | None = None, rounds: int = ROUNDS, threads: int | None = None
) -> CheckReport:
    """Run the samples that the artifact carries, all together and request by request, and compare their scores.

    tolerance: in place of those of the artifact, in parts of max(1, |expected|) · rounds: how often each request is measured · threads: as
    of `load`. Raises ArtifactError as `load` does, RankError for an artifact without samples.
    """
    if tolerance is not None and not tolerance >= 0:
        raise RankError(f"tolerance={tolerance!r}: give a difference of scores, at least 0")
    started = time.perf_counter()
    engine = load(path, threads=threads)
    load_ms = _ms_since(started)
    manifest = engine.manifest
    if not manifest.samples or not manifest.samples[0].items:
        why = f" ({manifest.samples[0].missing})" if manifest.samples else ""
        raise RankError(f"{path}: carries no sample requests{why}; compile it with samples of your own (--sample-items)")
    (entry,) = manifest.samples
    samples = read_samples(pathlib.Path(path), entry, manifest.output_shapes)
    apart = [_request(samples, k) for k in range(entry.requests)]
    first, scores = _timed(engine, apart[0])
    parts = [scores, *(dict(engine.rank(**request)) for request in apart[1:])]
    found = [{name: np.concatenate([part[name] for part in parts]) for name in manifest.output_shapes}]
    if entry.requests > 1:
        found.append(dict(engine.rank(user=samples.user, items=samples.items, item_request=samples.item_request)))
    allowed = {name: entry.tolerances[name] if tolerance is None else tolerance for name in samples.scores}
    return CheckReport(
        artifact=str(path),
        target=manifest.target,
        machine=f"{platform.machine()}, {processor()}",
        threads=engine.threads,
        source=entry.source,
        requests=entry.requests,
        items=entry.items,
        request_items=apart[0]["items"].num_rows,
        missing=entry.missing,
        outputs=tuple(_compared(name, want, [one[name] for one in found], allowed[name]) for name, want in samples.scores.items()),
        load_ms=load_ms,
        first_ms=first,
        median_ms=float(np.median([_timed(engine, request)[0] for _ in range(rounds) for request in apart])),
        rounds=rounds,
    )


def _request(samples: SampleRequests, number: int) -> dict[str, Any]:
    """The arguments of `rank` for one of the requests."""
    first, end = np.searchsorted(samples.item_request, (number, number + 1)).tolist()
    user = None if samples.user is None else samples.user.slice(number, 1)
    return {"user": user, "items": samples.items.slice(first, end - first)}


def _timed(engine: Engine, request: dict[str, Any]) -> tuple[float, dict[str, np.ndarray]]:
    started = time.perf_counter()
    scores = engine.rank(**request)
    return _ms_since(started), dict(scores)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3


def _compared(name: str, expected: np.ndarray, found: list[np.ndarray], tolerance: float) -> OutputCheck:
    """The worst of several ways to the same scores."""
    want = expected.astype(np.float64)
    size = np.maximum(1, np.abs(want))
    largest = relative = 0.0
    nonfinite = 0
    for scores in found:
        got = scores.astype(np.float64)
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        both = np.isfinite(got) & np.isfinite(want)
        nonfinite = max(nonfinite, int((~same & ~both).sum()))
        apart = np.abs(got[both] - want[both])
        largest = max(largest, float(apart.max(initial=0)))
        relative = max(relative, float((apart / size[both]).max(initial=0)))
    return OutputCheck(output=name, rows=len(want), largest=largest, relative=relative, tolerance=tolerance, nonfinite=nonfinite)
