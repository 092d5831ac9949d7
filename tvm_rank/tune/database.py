"""What a tuning database says about a target: the schedule that `compile(tuning=...)` uses."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm_rank.artifact.manifest import this_build
from tvm_rank.errors import TuningError
from tvm_rank.items.prepare import StoreChoice
from tvm_rank.schedule import Schedule
from tvm_rank.tune.journal import read_journal
from tvm_rank.tune.knobs import knobs_of
from tvm_rank.tune.records import Check, Record, Session, StoreTrial, TaskRecord, Trial, Verdict, best_of

UNJUDGED = 0.03  # a trial of a tuning that was stopped before its end must be better by so much, and worse nowhere


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What is known of a kernel: the verdict, or the best trial of a tuning that was stopped. `tuned`: better than the default."""

    task: TaskRecord
    session: Session
    choice: Mapping[str, Any]
    tuned: bool
    seconds: tuple[float, ...]
    default_seconds: tuple[float, ...]
    trials: int
    judged: bool


@dataclass(frozen=True, eq=False)
class TuningDatabase:
    """The records of a file, or of several."""

    source: str
    records: tuple[Record, ...]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TuningDatabase:
        """Read a file. Raises TuningError when it is not there, or damaged; a torn last line is not looked at."""
        return cls(str(path), read_journal(pathlib.Path(path)))

    @property
    def sessions(self) -> dict[str, Session]:
        """Key -> session, the one that was begun last behind the others."""
        found: dict[str, Session] = {}
        for record in self.records:
            if isinstance(record, Session):
                found.pop(record.key, None)
                found[record.key] = record
        return found

    def learned(self) -> list[Learned]:
        """Everything, session by session."""
        return [one for session in self.sessions.values() for one in self._of(session)]

    def checks(self, session: Session) -> list[Check]:
        """The comparisons of the whole model, the last one behind the others."""
        return [record for record in self.records if isinstance(record, Check) and record.session == session.key]

    def store_names(self, session: Session) -> list[str]:
        """The item stores of which others were tried."""
        mine = (record for record in self.records if isinstance(record, StoreTrial) and record.session == session.key)
        return list(dict.fromkeys(trial.store for trial in mine))

    def stores(self, session: Session, name: str) -> list[StoreTrial]:
        """What was tried in the place of an item store."""
        mine = (record for record in self.records if isinstance(record, StoreTrial) and record.session == session.key)
        return [trial for trial in mine if trial.store == name]

    def _of(self, session: Session) -> list[Learned]:
        mine = [r for r in self.records if not isinstance(r, Session) and r.session == session.key]
        tasks = {record.name: record for record in mine if isinstance(record, TaskRecord)}
        found = []
        for name, task in tasks.items():
            trials = [record for record in mine if isinstance(record, Trial) and record.task == name]
            verdicts = [record for record in mine if isinstance(record, Verdict) and record.task == name]
            found.append(_learned(task, session, trials, verdicts[-1] if verdicts else None))
        return found

    def staleness(self, session: Session, target: str) -> str | None:
        """Why the figures of a session do not hold for a target and this build; None when they do."""
        build = this_build()
        if session.target != target:
            return f"target {session.target}"
        if session.tvm_version != build["tvm_version"]:
            return f"TVM {session.tvm_version}"
        return f"tvm-rank {session.version}" if session.version != build["version"] else None

    def schedule(self, target: str) -> tuple[Schedule, list[str]]:
        """(the schedule for a TVM target as text, what a reader should know about it). A kernel that several sessions tuned gets what
        the last of them found. Raises TuningError when all records are of other targets or versions."""
        kernels: dict[str, Any] = {}
        stores: dict[str, StoreChoice] = {}
        stale: dict[str, int] = {}
        words: list[str] = []
        fresh = 0
        for session in self.sessions.values():
            if (why := self.staleness(session, target)) is not None:
                stale[why] = stale.get(why, 0) + 1
                continue
            fresh += 1
            for one in self._of(session):
                kernels.pop(one.task.name, None)
                try:
                    knobs = knobs_of(one.task.operator, one.choice)
                except (ValueError, TypeError) as error:
                    words.append(f"{one.task.name}: its record is of other knobs ({error}); it is ignored")
                    continue
                if one.tuned:
                    kernels[one.task.name] = knobs
            for name in self.store_names(session):
                stores.pop(name, None)
                if (choice := best_of(self.stores(session, name))) is not None:
                    stores[name] = choice
        if stale:
            words.append(f"{sum(stale.values())} of {len(self.sessions)} sessions are ignored: made for {', '.join(stale)}")
        if not fresh:
            raise TuningError(
                f"{self.source}: nothing in it is for {target}: {'; '.join(words) or 'it is empty'}; tune for this target"
            )
        return Schedule(kernels=kernels, stores=stores), words


def _learned(task: TaskRecord, session: Session, trials: Sequence[Trial], verdict: Verdict | None) -> Learned:
    """What the records of one kernel say."""
    best = min((trial for trial in trials if _is_safe(trial)), key=lambda trial: trial.ratio, default=None)
    source = verdict or best
    return Learned(
        task=task,
        session=session,
        choice=task.default if source is None else source.choice,
        tuned=best is not None if verdict is None else verdict.tuned,
        seconds=() if source is None else source.seconds,
        default_seconds=() if source is None else source.default_seconds,
        trials=len(trials),
        judged=verdict is not None,
    )


def _is_safe(trial: Trial) -> bool:
    """Whether a trial that nobody measured again may be used."""
    pairs = zip(trial.seconds, trial.default_seconds, strict=True)
    return not trial.error and trial.ratio < 1 - UNJUDGED and all(a <= b for a, b in pairs)
