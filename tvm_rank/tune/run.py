"""Tuning of a model: its tasks, a session, and the job that fills a database."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm_rank.artifact import store
from tvm_rank.artifact.artifact import Artifact
from tvm_rank.artifact.manifest import Manifest, this_build
from tvm_rank.errors import ArtifactError, TuningError
from tvm_rank.plan.steps import Plan
from tvm_rank.runtime import tvm_runtime
from tvm_rank.runtime.this_machine import processor
from tvm_rank.target import HOST, PRESETS, ResolvedTarget, resolve
from tvm_rank.tune.job import Job, Limits
from tvm_rank.tune.journal import Journal
from tvm_rank.tune.measure import Measurer
from tvm_rank.tune.records import Session
from tvm_rank.tune.remote import RemoteMeasurer, Tracker
from tvm_rank.tune.task import Task, dense_tasks

BATCH_SIZES = (64, 256, 1024)
NEEDED = ("cloudpickle", "psutil")  # of the extra `tune` of setup.py; xgboost is used when it is there


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """What is tuned: a compiled model."""

    manifest: Manifest
    plan: Plan

    @classmethod
    def of(cls, artifact: Artifact | str | os.PathLike[str]) -> Model:
        """An artifact in memory, or its folder. Raises ArtifactError."""
        if isinstance(artifact, Artifact):
            return cls(manifest=artifact.manifest, plan=artifact.plan)
        folder = pathlib.Path(artifact)
        manifest = store.read(folder, verify=False)
        path = folder / store.PLAN
        if not path.is_file():
            raise ArtifactError(f"{folder}: has no plan; compile the artifact again")
        return cls(manifest=manifest, plan=Plan.from_json(path.read_text(encoding="utf-8"), str(path)))

    def target(self) -> ResolvedTarget:
        """The target that it was compiled for."""
        name = self.manifest.target
        return resolve(name if name == HOST or name in PRESETS else self.manifest.tvm_target)

    def tasks(self, names: Sequence[str] = ()) -> list[Task]:
        """Its kernels that have knobs, or those with these names. Raises TuningError when there are none."""
        on_items = {step.operator for step in self.plan.kernels if step.rows.items}
        on_requests = {step.operator for step in self.plan.kernels} - on_items
        found = dense_tasks(self.manifest.kernels, on_requests)
        known = {task.name for task in found}
        if unknown := sorted(set(names) - known):
            raise TuningError(f"no kernels {', '.join(unknown)} to tune; there are {', '.join(sorted(known)) or 'none'}")
        chosen = [task for task in found if not names or task.name in names]
        if not chosen:
            raise TuningError("the model has no kernel that can be tuned")
        return chosen


def tune(
    model: Artifact | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    trials: int | None = None,
    seconds: float | None = None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    threads: int | None = None,
    kernels: Sequence[str] = (),
    seed: int = 0,
    tracker: Tracker | None = None,
    on_change: Callable[[Job, str], None] = lambda _job, _what: None,
) -> Job:
    """Search the knobs of a model's kernels and write what is measured into the file `out`, which may have records already: trials that
    were made under the same conditions are not made again.

    model: an artifact, or its folder · trials, seconds: when the search ends; at least one of them · batch_sizes: items of the requests
    that are tuned for · threads: of one request, None for all cores · kernels: names of those to tune, all by default · on_change: called
    whenever something has happened · tracker: measure on its servers instead of here. Raises TuningError when nothing could be measured, or
    the database is damaged or in use.
    """
    _check(trials, seconds, batch_sizes)
    found = Model.of(model)
    target, tasks = found.target(), found.tasks(kernels)
    count = threads or (1 if tracker else tvm_runtime.cores())  # how many cores a server has is not known
    build = this_build()
    session = Session(
        target=str(target.tvm_target),
        processor=f"servers {tracker.key}" if tracker else processor(),
        version=str(build["version"]),
        tvm_version=str(build["tvm_version"]),
        threads=count,
        batch_sizes=tuple(batch_sizes),
    )
    with (
        Journal(pathlib.Path(out)) as journal,
        tempfile.TemporaryDirectory(prefix="tvm-rank-tune-") as folder,
        _measurer(target, count, pathlib.Path(folder), tracker) as measurer,
    ):
        job = Job(session, journal, measurer, Limits(trials=trials, seconds=seconds), seed, lambda what: on_change(job, what))
        on_change(job, "building the kernels as they are")
        job.run(measurer.prepare(tasks, session.batch_sizes))
    return job


def _measurer(target: ResolvedTarget, threads: int, folder: pathlib.Path, tracker: Tracker | None) -> Measurer:
    return Measurer(target, threads, folder) if tracker is None else RemoteMeasurer(target, threads, folder, tracker)


def _check(trials: int | None, seconds: float | None, batch_sizes: Sequence[int]) -> None:
    """Refuse what cannot be done."""
    import importlib.util

    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise TuningError(f"tuning needs {', '.join(missing)}; install tvm-rank[tune]")
    if trials is None and seconds is None:
        raise TuningError("give a number of trials, or seconds")
    if (trials is not None and trials < 1) or (seconds is not None and seconds <= 0):
        raise TuningError(f"trials={trials!r}, seconds={seconds!r}: nothing would be measured; give more")
    if not batch_sizes or any(rows < 1 for rows in batch_sizes) or len(set(batch_sizes)) != len(batch_sizes):
        raise TuningError(f"batch_sizes={list(batch_sizes)!r}: give different numbers of items, each at least 1")
