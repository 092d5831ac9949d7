"""Tuning of a model: its tasks, a session, and the job that fills a database."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Sequence

from tvm_rank.artifact.artifact import Artifact
from tvm_rank.artifact.manifest import this_build
from tvm_rank.errors import TuningError
from tvm_rank.precision import Samples
from tvm_rank.runtime import tvm_runtime
from tvm_rank.runtime.this_machine import processor
from tvm_rank.target import ResolvedTarget
from tvm_rank.tracker import Tracker
from tvm_rank.tune import stores
from tvm_rank.tune.job import Job, Limits
from tvm_rank.tune.journal import Journal
from tvm_rank.tune.measure import Measurer
from tvm_rank.tune.model import Given, Model, chosen
from tvm_rank.tune.records import Session, best_of
from tvm_rank.tune.remote import RemoteMeasurer
from tvm_rank.tune.requests import RequestData
from tvm_rank.tune.scratch import scratch
from tvm_rank.tune.task import Task
from tvm_rank.tune.use import schedule_of
from tvm_rank.tune.whole import Compared, compared, confirmed, with_code

BATCH_SIZES = (64, 256, 1024)
ARTIFACT, TUNED = "artifact", "tuned"  # folders of the model as it is, and with what was found
BUSY_PART = 0.25  # of the cores, that others may keep busy before a word is said of it
STORE_PART = 0.3  # of a time budget, for other item stores
RESERVED_PART, MEASURED_S = 0.25, 20.0  # of a time budget, at most, for the check of the whole model; seconds of its measuring
NEEDED = ("cloudpickle", "psutil")  # of the extra `tune` of setup.py; xgboost is used when it is there


def tune(
    model: Given,
    out: str | os.PathLike[str],
    *,
    trials: int | None = None,
    seconds: float | None = None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    threads: int | None = None,
    kernels: Sequence[str] = (),
    seed: int = 0,
    requests: Samples | None = None,
    tracker: Tracker | None = None,
    on_change: Callable[[Job, str], None] = lambda _job, _what: None,
) -> Job:
    """Search the knobs of a model's kernels and write what is measured into the file `out`, which may have records already: trials that
    were made under the same conditions are not made again.

    model: an artifact, its folder (then dense layers only), or the arguments of `compile` as a mapping · trials, seconds: when the search
    ends; at least one of them · batch_sizes: items of the requests that are tuned for · threads: of one request, None for all cores ·
    kernels: names of those to tune, all by default · requests: to measure kernels within, None for the samples of the artifact · on_change:
    called whenever something has happened · tracker: measure on its servers instead of here, kernel by kernel. Raises TuningError when
    nothing could be measured, or the database is damaged or in use.
    """
    _check(trials, seconds, batch_sizes)
    found = Model.of(model)
    target = found.target()
    if target.is_gpu and tracker is None:
        raise TuningError(
            "kernels of a GPU are measured on the servers of a tracker (--tracker, --key), which may run on this machine: docs/tuning.md"
        )
    count = threads or (1 if tracker else tvm_runtime.cores())  # how many cores a server has is not known
    with Journal(pathlib.Path(out)) as journal, scratch() as folder:
        data, notes = _requests(found, kernels, requests, tracker)
        session = _session(target, count, batch_sizes, tracker, data)
        limits = Limits(trials=trials, seconds=seconds)
        job = Job(session, journal, limits, seed, lambda what: on_change(job, what))
        job.notes.extend([*notes, *_busy(tracker)])
        is_whole = data is not None and found.inputs is not None and tracker is None  # the model can be run here
        if data is not None and is_whole and found.manifest.store and not kernels:
            found = _with_store(job, found, folder, data)
        tasks = _tasks(found, kernels, folder / ARTIFACT, data, job, is_remote=tracker is not None)
        job.limits = dataclasses.replace(limits, reserve=_reserve(found, seconds) if is_whole else 0.0)
        with _measurer(target, count, folder, tracker) as measurer:
            on_change(job, "building the kernels as they are")
            job.run(measurer, measurer.prepare(tasks, session.batch_sizes))
        if data is not None and is_whole:
            _confirm(job, found, folder, data)
    return job


def _busy(tracker: Tracker | None) -> list[str]:
    """What to say when others work on this machine: a thread that waits for a core makes kernels of several threads look slow."""
    if tracker is not None or not hasattr(os, "getloadavg") or (load := os.getloadavg()[0] - 1) < BUSY_PART * tvm_runtime.cores():
        return []
    return [
        f"others kept about {load:.1f} of {tvm_runtime.cores()} cores busy at the start: what was found may not hold; tune on a quiet machine"
    ]


def _requests(
    model: Model, names: Sequence[str], given: Samples | None, tracker: Tracker | None
) -> tuple[RequestData | None, list[str]]:
    """The requests that kernels run within, and what there is to say; None when none of those with these names does."""
    dense = {task.name for task in model.dense_tasks()}
    if names and dense.issuperset(names):
        return None, []
    if why := model.not_packed() if tracker else model.not_live():
        return None, [f"feature kernels, attention units and trees are not tuned: {why}"]
    data = model.requests(given)
    notes = [f"requests: {data.source}"]
    if tracker:
        notes.append("attention units and the whole model are not measured on servers: compare it with `tvm-rank bench` there")
    return data, notes


def _tasks(
    model: Model, names: Sequence[str], folder: pathlib.Path, data: RequestData | None, job: Job, *, is_remote: bool
) -> list[Task]:
    """The tasks with these names. The artifact is written to `folder` when they run on requests."""
    if data is None:
        return chosen(model.dense_tasks(), names, "; ".join(job.notes))
    assert model.artifact is not None
    more = (model.packed_tasks if is_remote else model.live_tasks)(folder, data, job.session.threads)
    tasks = chosen([*model.dense_tasks(), *more], names)
    job.on_change("writing the artifact")
    model.artifact.save(folder)
    return tasks


def _contest(job: Job, data: RequestData) -> Callable[[pathlib.Path, pathlib.Path], Compared]:
    """Compares two artifacts under the conditions of the job."""

    def look() -> None:
        job.on_change("measuring the whole model")

    return lambda default, other: compared(default, other, data, job.session.batch_sizes, job.session.threads, look)


def _with_store(job: Job, model: Model, folder: pathlib.Path, data: RequestData) -> Model:
    """The model with the item store that is the fastest."""
    assert model.inputs is not None
    assert model.artifact is not None
    name, budget = stores.name_of(model.manifest), job.limits.seconds
    seconds = math.inf if budget is None else STORE_PART * budget
    job.journal.append(job.session)
    job.on_change("trying other item stores")
    known = job.database.stores(job.session, name)
    stores.tried(model.inputs, model.artifact, folder, job.session.key, _contest(job, data), known, seconds, job.journal.append)
    known = job.database.stores(job.session, name)
    if left := len(stores.others(model.manifest)) - len(known):
        job.notes.append(f"the time was not enough for {left} of the other item stores; the same command goes on")
    if (best := best_of(known)) is None:
        return model
    job.on_change("compiling the model with another item store")
    return Model.of({**model.inputs, "store_layout": best.layout, "materialize": best.materialize})


def _reserve(model: Model, seconds: float | None) -> float:
    """Seconds that are kept for the check of the whole model: it is compiled, and measured."""
    if model.inputs is None or seconds is None:
        return 0.0
    return min(RESERVED_PART * seconds, model.manifest.compile_seconds + MEASURED_S)


def _confirm(job: Job, model: Model, folder: pathlib.Path, data: RequestData) -> None:
    """Compare the model with what `compile(tuning=...)` makes of the database, and drop what does not hold."""
    assert model.inputs is not None
    database, target = job.database, model.target()
    known = {str(kernel.get("key", kernel["name"])) for kernel in model.manifest.kernels}
    kernels = {name: knobs for name, knobs in database.schedule(job.session.target)[0].kernels.items() if name in known}

    contest = _contest(job, data)

    def against_default(artifact: Artifact) -> Compared:
        return contest(folder / ARTIFACT, with_code(folder / ARTIFACT, artifact, folder / TUNED))

    job.on_change("compiling the model with what was found")
    found = confirmed(model.inputs, schedule_of(model.inputs.get("tuning"), target), kernels, against_default)
    job.confirm([one for one in database.learned() if one.tuned and one.task.name in kernels], found)


def _session(
    target: ResolvedTarget, threads: int, batch_sizes: Sequence[int], tracker: Tracker | None, data: RequestData | None
) -> Session:
    build = this_build()
    return Session(
        target=str(target.tvm_target),
        processor=f"servers {tracker.key}" if tracker else processor(),
        version=str(build["version"]),
        tvm_version=str(build["tvm_version"]),
        threads=threads,
        batch_sizes=tuple(batch_sizes),
        requests="" if data is None else data.source,
    )


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
