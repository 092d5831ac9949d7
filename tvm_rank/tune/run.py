"""Tuning of a model: its tasks, a session, and the job that fills a database."""

from __future__ import annotations

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
from tvm_rank.tune.database import TuningDatabase
from tvm_rank.tune.job import Job, Limits
from tvm_rank.tune.journal import Journal
from tvm_rank.tune.measure import Measurer
from tvm_rank.tune.model import Given, Model, chosen
from tvm_rank.tune.records import Session
from tvm_rank.tune.remote import RemoteMeasurer, Tracker
from tvm_rank.tune.requests import RequestData
from tvm_rank.tune.scratch import scratch
from tvm_rank.tune.task import Task
from tvm_rank.tune.use import schedule_of
from tvm_rank.tune.whole import Compared, compared, confirmed, with_code

BATCH_SIZES = (64, 256, 1024)
ARTIFACT, TUNED = "artifact", "tuned"  # folders of the model as it is, and with what was found
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
    called whenever something has happened · tracker: measure on its servers instead of here, dense layers only. Raises TuningError when
    nothing could be measured, or the database is damaged or in use.
    """
    _check(trials, seconds, batch_sizes)
    found = Model.of(model)
    target = found.target()
    count = threads or (1 if tracker else tvm_runtime.cores())  # how many cores a server has is not known
    with Journal(pathlib.Path(out)) as journal, scratch() as folder:
        tasks, data, notes = _tasks(found, kernels, folder / ARTIFACT, requests, count, tracker)
        session = _session(target, count, batch_sizes, tracker, data)
        limits = Limits(trials=trials, seconds=seconds, reserve=_reserve(found, seconds) if data else 0.0)
        with _measurer(target, count, folder, tracker) as measurer:
            job = Job(session, journal, measurer, limits, seed, lambda what: on_change(job, what))
            job.notes.extend(notes)
            on_change(job, "building the kernels as they are")
            job.run(measurer.prepare(tasks, session.batch_sizes))
        if data is not None and found.inputs is not None:
            _confirm(job, found, folder, data)
    return job


def _reserve(model: Model, seconds: float | None) -> float:
    """Seconds that are kept for the check of the whole model: it is compiled, and measured."""
    if model.inputs is None or seconds is None:
        return 0.0
    return min(RESERVED_PART * seconds, model.manifest.compile_seconds + MEASURED_S)


def _confirm(job: Job, model: Model, folder: pathlib.Path, data: RequestData) -> None:
    """Compare the model with what `compile(tuning=...)` makes of the database, and drop what does not hold."""
    assert model.inputs is not None
    database, target = TuningDatabase(str(job.journal.path), job.journal.records), model.target()
    known = {str(kernel.get("key", kernel["name"])) for kernel in model.manifest.kernels}
    kernels = {name: knobs for name, knobs in database.schedule(job.session.target)[0].kernels.items() if name in known}

    def contest(artifact: Artifact) -> Compared:
        job.on_change("measuring the whole model")
        other = with_code(folder / ARTIFACT, artifact, folder / TUNED)
        sizes, threads = job.session.batch_sizes, job.session.threads
        return compared(folder / ARTIFACT, other, data, sizes, threads, lambda: job.on_change("measuring the whole model"))

    job.on_change("compiling the model with what was found")
    found = confirmed(model.inputs, schedule_of(model.inputs.get("tuning"), target), kernels, contest)
    job.confirm([one for one in database.learned() if one.tuned and one.task.name in kernels], found)


def _tasks(
    model: Model, names: Sequence[str], folder: pathlib.Path, given: Samples | None, threads: int, tracker: Tracker | None
) -> tuple[list[Task], RequestData | None, list[str]]:
    """The tasks with these names, the requests that they run within, and what there is to say. The artifact is written to `folder` when one
    of them needs it."""
    dense = model.dense_tasks()
    why = "servers of a tracker measure dense layers only" if tracker else model.not_live()
    if why or (names and {task.name for task in dense}.issuperset(names)):
        note = f"feature kernels, attention units and trees are not tuned: {why}"
        return chosen(dense, names, note), None, [note] if why else []
    data = model.requests(given)
    tasks = chosen([*dense, *model.live_tasks(folder, data, threads)], names)
    assert model.artifact is not None
    model.artifact.save(folder)
    return tasks, data, [f"requests: {data.source}"]


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
