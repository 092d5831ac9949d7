"""What a tuning database holds: the lines of its journal, and what of them is known of a kernel."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm_rank.artifact.typed_json import decode
from tvm_rank.items.prepare import StoreChoice

Choice = Mapping[str, Any]  # knob -> value, all knobs of a kernel
LEAST_NOISE = 0.01  # differences of times below this are none
SCORE_TOLERANCE = 1e-6  # of a score s, in parts of max(1, |s|)


@dataclass(frozen=True, kw_only=True)
class Session:
    """What figures depend on besides the kernel: those of another session are not compared. target: TVM's, as JSON · processor: of the
    machine that measured · batch_sizes: items of the requests · threads: of one request · requests: where their values are from, "" when
    none were needed."""

    target: str
    processor: str
    version: str
    tvm_version: str
    threads: int
    batch_sizes: tuple[int, ...]
    requests: str = ""

    @property
    def key(self) -> str:
        """A short name of it."""
        return digest(dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """A kernel to tune. name: the kernel's, which says what it computes · calls: in a request · default: its knobs untuned · space: the
    values that are tried · share: of the time of all tasks that this one takes, from 0 to 1."""

    session: str
    name: str
    operator: str
    calls: int
    default: Mapping[str, Any]
    space: Mapping[str, Any]
    share: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A candidate that was built and measured. kernel: a digest of its code, since several choices may give the same · seconds: for each
    batch size, of one call; default_seconds: of the default kernel in alternation with it. `error` says why there are none."""

    session: str
    task: str
    choice: Mapping[str, Any]
    kernel: str
    seconds: tuple[float, ...]
    default_seconds: tuple[float, ...]
    error: str
    at: float  # seconds since the tuning began, without the time in between

    @property
    def ratio(self) -> float:
        """Its time over the default's, the geometric mean over the batch sizes; infinite when it failed."""
        return mean_ratio(self.seconds, self.default_seconds)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is kept of a task after the best candidates and the default were measured again: `choice` is the default's when `tuned` is
    false. noise: what two measurements of the default differ by, as a part of it."""

    session: str
    task: str
    choice: Mapping[str, Any]
    tuned: bool
    seconds: tuple[float, ...]
    default_seconds: tuple[float, ...]
    noise: float


@dataclass(frozen=True, kw_only=True)
class Check:
    """The whole model with other knobs against the model as it was. kernels: with other knobs · dropped: those that lost them by this check ·
    for each batch size, default_seconds: of a request of the model as it was · ratios, least, largest: the other one's time over it, the median
    over several loads of both, the least and the largest; all empty when no kernel is left · difference: the largest of a score s, in parts
    of max(1, |s|)."""

    session: str
    kernels: tuple[str, ...]
    dropped: tuple[str, ...]
    default_seconds: tuple[float, ...]
    ratios: tuple[float, ...]
    least: tuple[float, ...]
    largest: tuple[float, ...]
    difference: float


STORE_GAIN = 0.02  # another store must be better by so much in the mean, and slower at no batch size by more than half of it


@dataclass(frozen=True, kw_only=True)
class StoreTrial:
    """The whole model with another item store against the model as it was. store: which one (`items.prepare.store_name`) · bytes: that it
    keeps of what is computed ahead, but for lists of ids · the other figures as of `Check`, empty with an `error`."""

    session: str
    store: str
    layout: str
    materialize: str
    bytes: int
    default_seconds: tuple[float, ...]
    ratios: tuple[float, ...]
    least: tuple[float, ...]
    largest: tuple[float, ...]
    difference: float
    error: str

    @property
    def mean_ratio(self) -> float:
        """Its time over the default's, the geometric mean over the batch sizes; infinite when it failed."""
        return mean_ratio(self.ratios, (1.0,) * len(self.ratios))

    @property
    def is_better(self) -> bool:
        """Faster, slower at no batch size, and of the same scores."""
        is_same = not self.error and self.difference <= SCORE_TOLERANCE
        return is_same and self.mean_ratio < 1 - STORE_GAIN and max(self.ratios) < 1 + STORE_GAIN / 2


def best_of(trials: Sequence[StoreTrial]) -> StoreChoice | None:
    """The store to take in the place of the default one; None when none is better."""
    found = [trial for trial in trials if trial.is_better]
    if not found:
        return None
    best = min(found, key=lambda trial: trial.mean_ratio)
    return StoreChoice(layout=best.layout, materialize=best.materialize)


Record = Session | TaskRecord | Trial | Verdict | Check | StoreTrial
KINDS: Mapping[str, type] = {
    "session": Session,
    "task": TaskRecord,
    "trial": Trial,
    "verdict": Verdict,
    "check": Check,
    "store": StoreTrial,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


def to_line(record: Record) -> str:
    """A record as a line of JSON."""
    return json.dumps({"kind": _NAMES[type(record)], **dataclasses.asdict(record)}, sort_keys=True, allow_nan=False)


def from_line(line: str) -> Record:
    """The record of a line. Raises ValueError."""
    entries = json.loads(line)
    if not isinstance(entries, dict) or (kind := KINDS.get(str(entries.pop("kind", None)))) is None:
        raise ValueError(f"no record of a tuning database; its kinds are {', '.join(KINDS)}")
    if kind is Session:
        entries.setdefault("requests", "")  # databases before there were any
    record: Record = decode(kind, entries)
    return record


def digest(value: Any) -> str:
    """16 hexadecimal digits that stand for a value of JSON."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()


def mean_ratio(seconds: Sequence[float], default_seconds: Sequence[float]) -> float:
    """The geometric mean of the ratios; infinite without any."""
    if not seconds:
        return math.inf
    return math.exp(sum(math.log(a / b) for a, b in zip(seconds, default_seconds, strict=True)) / len(seconds))
