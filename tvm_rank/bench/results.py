"""The results of a benchmark as values, and as the JSON that `--json` writes and `--compare` reads."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tvm_rank.artifact.typed_json import decode
from tvm_rank.errors import BenchError

SCHEMA = 1
ENGINE = "tvm-rank"
ALL, MODEL = "all", "model"
Key = tuple[str, int, int, str]  # workload, items, threads, name of a measurement


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One kernel of a request: microseconds of all its calls, and FLOPs and bytes as the artifact's plan counts them (no table rows).
    lookups_us: of them for its lookups, as a kernel without them tells; 0 when that was not measured."""

    name: str
    us: float
    calls: float
    flops: int
    bytes: int
    lookups_us: float = 0.0

    @property
    def stage(self) -> str:
        """features (with the lookups, which are in the same kernel), dense or other."""
        if self.name.endswith("_features") or self.name == "guard_columns":
            return "features"
        return "dense" if self.name.startswith(("dense_", "pair_")) else "other"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a request asks for, whoever does it: operations of the model, rows of tables that its ids lead to, their bytes, and those of
    its columns."""

    flops: int = 0
    table_rows: float = 0.0
    table_bytes: float = 0.0
    column_bytes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One contestant over one workload, with so many items in a request, and threads.

    part: `all` is raw fields to scores, `model` the dense model alone from ready inputs · difference: the largest to the expected scores ·
    machine: the key of the servers that it was measured on, "" for this machine · rounds_us: the median of each round · core_ms: CPU time of
    all threads for a request · foreign, steal: cores that others used meanwhile, and that the hypervisor took.
    """

    workload: str
    items: int
    threads: int
    contestant: str
    target: str
    precision: str
    part: str
    about: str
    versions: Mapping[str, str]
    difference: float
    rounds_us: tuple[float, ...]
    p50_us: float
    p90_us: float
    p99_us: float
    requests: int
    requests_per_s: float
    items_per_s: float
    core_ms: float
    foreign: float
    steal: float
    whole_us: float = 0.0  # of a request when its kernels were measured
    kernels: tuple[Kernel, ...] = ()
    work: Work = Work()
    machine: str = ""

    @property
    def name(self) -> str:
        """As tables show it."""
        own = engine_name(self.target, self.precision, self.machine) if self.contestant == ENGINE else self.contestant
        return own if self.part == ALL else f"{own}, model only"

    @property
    def key(self) -> Key:
        """What makes two measurements of two runs comparable."""
        return self.workload, self.items, self.threads, self.name

    def split(self) -> dict[str, float]:
        """{stage: microseconds}, `outside` being what is in no kernel; nothing for a baseline."""
        if not self.kernels:
            return {}
        found = {stage: sum(k.us for k in self.kernels if k.stage == stage) for stage in ("features", "dense", "other")}
        return {**found, "outside": max(0.0, self.whole_us - sum(found.values()))}


@dataclass(frozen=True, kw_only=True)
class NotRun:
    """What was asked for and not measured, and why."""

    workload: str
    contestant: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """One run. ceilings: threads -> name -> figure (`ceilings.py`)."""

    conditions: Mapping[str, Any]
    options: Mapping[str, Any]
    ceilings: Mapping[str, Mapping[str, float]]
    measurements: tuple[Measurement, ...] = ()
    not_run: tuple[NotRun, ...] = ()
    finished: bool = False
    schema: int = field(default=SCHEMA)

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def load(cls, path: pathlib.Path) -> Results:
        """Read a file. Raises BenchError when it is none."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or found.get("schema") != SCHEMA:
                raise ValueError(f"it has no results of schema {SCHEMA}")
            for one in found.get("measurements", ()):
                one.setdefault("machine", "")  # nor was this
            for one in (kernel for measured in found.get("measurements", ()) for kernel in measured.get("kernels", ())):
                one.setdefault("lookups_us", 0.0)  # not measured by earlier versions
            results: Results = decode(cls, found)
        except (OSError, ValueError, RecursionError) as error:
            raise BenchError(f"{path}: cannot be compared with ({error}); give what `tvm-rank bench --json` wrote") from error
        return results


def engine_name(target: str, precision: str, machine: str) -> str:
    """The engine as tables name it; `machine` as of Measurement."""
    return f"{ENGINE} {target} {precision}" + (f" on {machine}" if machine else "")


def threads_text(count: int) -> str:
    """1 thread, 2 threads."""
    return f"{count} thread{'s' if count > 1 else ''}"


def measurement(rounds: Sequence[Mapping[str, Any]], **about: Any) -> Measurement:
    """The figures of the rounds of one contestant."""
    times = np.concatenate([one["times_us"] for one in rounds])
    wall, cpu = (sum(one[name] for one in rounds) for name in ("wall_s", "cpu_s"))
    per_s = len(times) / wall
    p50, p90, p99 = (round(float(np.percentile(times, q)), 2) for q in (50, 90, 99))
    return Measurement(
        **about,
        rounds_us=tuple(round(float(np.median(one["times_us"])), 2) for one in rounds),
        p50_us=p50,
        p90_us=p90,
        p99_us=p99,
        requests=len(times),
        requests_per_s=round(per_s, 2),
        items_per_s=round(per_s * about["items"], 1),
        core_ms=round(cpu / len(times) * 1e3, 4),
        foreign=round(float(np.mean([one["foreign"] for one in rounds])), 3),
        steal=round(float(np.mean([one["steal"] for one in rounds])), 3),
    )
