"""What a benchmark is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tvm_rank.bench.contest import BASELINES
from tvm_rank.errors import BenchError

LIMITS = {"fp32": 1e-5, "bf16": 0.02, "fp16": 0.005, "tf32": 0.005, "int8": 0.05}  # of the difference of a score, by precision
BASELINE_LIMIT = 1e-4
HERE = "cpu"  # the target that is always this machine


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure. `folder` keeps workloads and artifacts, and has those that are used; pythons: baseline -> interpreter · tracker, key:
    all targets but HERE are measured on the servers of this tracker (host:port), None for none."""

    workloads: tuple[str, ...]
    targets: tuple[str, ...] = ("cpu",)
    precisions: tuple[str, ...] = ("fp32",)
    batch_sizes: tuple[int, ...] = (64, 256, 1024)
    threads: tuple[int, ...] = (1,)
    against: tuple[str, ...] = ()
    pythons: Mapping[str, str] = field(default_factory=dict)
    rounds: int = 7
    seconds: float = 0.4
    requests: int = 16
    tolerance: float | None = None
    tables: str = "mapped"
    folder: str | None = None
    tracker: str | None = None
    key: str | None = None

    def __post_init__(self):
        if unknown := [name for name in self.against if name not in BASELINES]:
            raise BenchError(f"baseline {unknown[0]!r}: give {', '.join(BASELINES)}")
        if unknown := [name for name in self.pythons if name not in BASELINES]:
            raise BenchError(f"--baseline-python names {unknown[0]!r}; the baselines are {', '.join(BASELINES)}")
        if unknown := [name for name in self.precisions if name not in LIMITS]:
            raise BenchError(f"precision {unknown[0]!r}: give {', '.join(LIMITS)}")
        if (self.tracker is None) != (self.key is None):
            raise BenchError("give a tracker and the key of its servers together")
        if self.tracker is not None and not any(map(self.on_server, self.targets)):
            raise BenchError(f"{HERE!r} is measured here; name the target of the servers, such as aarch64 or x86-64-v3")

    def on_server(self, target: str) -> bool:
        """Whether a target is measured on servers."""
        return self.tracker is not None and target != HERE
