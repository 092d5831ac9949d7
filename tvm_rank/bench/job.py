"""A benchmark from start to end: prepare, check the scores, measure in turns.

For each workload and number of threads all contestants are opened, each in its process. For each batch size their scores are compared with
the expected ones first; then every round measures each of them once, in turns, so that whatever else the machine does meets them all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tvm_rank.bench import lookups
from tvm_rank.bench.conditions import conditions
from tvm_rank.bench.contest import BASELINES, OWN, Process, Refusal, python_of
from tvm_rank.bench.machine import ceilings
from tvm_rank.bench.peers.ready import write_inputs
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.bench.results import ALL, ENGINE, Kernel, Measurement, NotRun, Results, measurement, threads_text
from tvm_rank.bench.work import work_of
from tvm_rank.bench.workloads import expected, model_inputs, names_of, prepare
from tvm_rank.errors import BenchError

CHECKED = 2  # requests whose scores are compared before anything is timed
LIMITS = {"fp32": 1e-5, "bf16": 0.02, "int8": 0.05}  # of the difference of a score, by precision
BASELINE_LIMIT = 1e-4


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure. `folder` keeps workloads and artifacts, and has those that are used; pythons: baseline -> interpreter."""

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

    def __post_init__(self):
        if unknown := [name for name in self.against if name not in BASELINES]:
            raise BenchError(f"baseline {unknown[0]!r}: give {', '.join(BASELINES)}")
        if unknown := [name for name in self.pythons if name not in BASELINES]:
            raise BenchError(f"--baseline-python names {unknown[0]!r}; the baselines are {', '.join(BASELINES)}")
        if unknown := [name for name in self.precisions if name not in LIMITS]:
            raise BenchError(f"precision {unknown[0]!r}: give {', '.join(LIMITS)}")


@dataclass(eq=False)
class State:
    """What has been found so far, for a reader and for the files."""

    results: Results
    rounds: int = 0  # in all
    done: int = 0
    started: float = field(default_factory=time.perf_counter)


OnChange = Callable[[State, str], None]


def run(options: Options, on_change: OnChange, *, measure_ceilings: bool = True) -> Results:
    """Measure everything, telling `on_change` of each step; `State.results` has whatever was finished. Raises BenchError when a score is
    wrong, and RankError for what cannot be prepared."""
    names = names_of(options.workloads)
    about = {key: value for key, value in dataclasses.asdict(options).items() if key not in ("folder", "pythons")}
    state = State(Results(conditions=conditions(), options=about, ceilings={}))
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(options.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="tvm-rank-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        _look_at_baselines(options, state, on_change)
        if measure_ceilings:
            on_change(state, "measuring the machine's ceilings")
            state.results = dataclasses.replace(state.results, ceilings=ceilings(options.threads))
        for name in names:
            _Workload(name, folder, options, state, on_change).measure()
        if measure_ceilings:
            on_change(state, "measuring the machine's ceilings again")
            again = ceilings(options.threads, best_of=state.results.ceilings)
            state.results = dataclasses.replace(state.results, ceilings=again)
    if not state.results.measurements:
        raise BenchError("nothing was measured: " + "; ".join(f"{one.contestant}: {one.why}" for one in state.results.not_run))
    state.results = dataclasses.replace(state.results, finished=True)
    on_change(state, "done")
    return state.results


def _look_at_baselines(options: Options, state: State, on_change: OnChange) -> None:
    """Raise BenchError at once when a baseline lacks its packages, before minutes of work."""
    for name in options.against:
        on_change(state, f"starting {name}")
        with contextlib.closing(Process(name, BASELINES[name].entry, python_of(name, options.pythons))) as process:
            process.ask(do="import")


@dataclass(frozen=True, kw_only=True)
class _Entrant:
    """A contestant's process with what tells it apart, and the part that it is measured at."""

    process: Process
    about: Mapping[str, Any]
    part: str
    limit: float


class _Workload:
    """One workload: its files, artifacts, contestants."""

    def __init__(self, name: str, folder: pathlib.Path, options: Options, state: State, on_change: OnChange):
        self.name, self.options, self.state = name, options, state
        self.say = lambda what: on_change(state, f"{name}: {what}")
        self.say("writing the model and its requests")
        self.folder, self.inputs = folder, pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.files = prepare(name, folder, requests=options.requests, items=max(options.batch_sizes))

    def measure(self) -> None:
        """All threads and batch sizes."""
        artifacts = dict(self._artifacts())
        self.say("computing the expected scores")
        most = max(self.options.batch_sizes)
        feeds = model_inputs(self.files, CHECKED, most)
        for number, feed in enumerate(feeds):
            write_inputs(self.inputs, number, feed)
        wanted = expected(self.files, feeds, most)
        for threads in self.options.threads:
            with contextlib.ExitStack() as stack:
                entrants = list(self._entrants(artifacts, threads, stack))
                for items in self.options.batch_sizes:
                    self._measure_one(entrants, threads, items, wanted)

    def _artifacts(self) -> Iterator[tuple[tuple[str, str], pathlib.Path]]:
        """((target, precision), folder) of those that run here."""
        from tvm_rank.runtime.this_machine import lacking
        from tvm_rank.target import resolve

        for target in self.options.targets:
            resolved = resolve(target)
            if why := lacking(resolved.machine, resolved.needs):
                self._leave_out(f"{ENGINE} {target}", f"{why}; run the same command on such a machine")
                continue
            for precision in self.options.precisions:
                yield (target, precision), self._artifact(target, precision)

    def _artifact(self, target: str, precision: str) -> pathlib.Path:
        from tvm_rank.compiler import compile
        from tvm_rank.target import resolve

        path = self.folder / "artifacts" / self.files.folder.name / f"{target}-{precision}"
        if not path.exists():
            given: dict[str, Any] = {"features": self.files.features, "model": self.files.model, "tables": self.files.tables}
            made = compile(
                **given, target=target, precision=precision, progress=lambda stage: self.say(f"{target} {precision}: {stage}")
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            lookups.write(made, resolve(target).tvm_target, path)
            made.save(path)
        return path

    def _entrants(
        self, artifacts: Mapping[tuple[str, str], pathlib.Path], threads: int, stack: contextlib.ExitStack
    ) -> Iterator[_Entrant]:
        """Every contestant, opened. A baseline is measured from raw fields if it can, and its model alone."""
        options = self.options
        common = {"folder": str(self.files.folder.resolve()), "requests": options.requests, "threads": threads}
        common |= {"inputs": str(self.inputs.resolve())}
        for (target, precision), artifact in artifacts.items():
            limit = options.tolerance if options.tolerance is not None else LIMITS[precision]
            found = {"contestant": ENGINE, "target": target, "precision": precision}
            given = {"artifact": str(artifact.resolve()), "tables": options.tables}
            yield from self._opened(stack.enter_context(_process(ENGINE, OWN)), found, limit, {**common, **given})
        for name in options.against:
            process = stack.enter_context(_process(name, BASELINES[name].entry, python_of(name, options.pythons)))
            found = {"contestant": name, "target": "", "precision": "fp32"}
            try:
                yield from self._opened(process, found, max(BASELINE_LIMIT, options.tolerance or 0.0), common)
            except Refusal as refused:
                self._leave_out(name, str(refused))

    def _opened(self, process: Process, about: Mapping[str, Any], limit: float, given: Mapping[str, Any]) -> Iterator[_Entrant]:
        self.say(f"opening {process.name}")
        opened = process.ask(do="open", **given)
        if opened["why_not"]:
            self._leave_out(process.name, opened["why_not"])
        for part in opened["parts"]:
            told = {
                "versions": opened["versions"],
                "about": opened["about"] if part == ALL else "the dense model, from ready inputs",
            }
            yield _Entrant(process=process, about={**about, **told}, part=part, limit=limit)

    def _leave_out(self, contestant: str, why: str) -> None:
        entry = NotRun(workload=self.name, contestant=contestant, why=why)
        results = self.state.results
        if entry not in results.not_run:
            self.state.results = dataclasses.replace(results, not_run=(*results.not_run, entry))

    def _measure_one(self, entrants: Sequence[_Entrant], threads: int, items: int, wanted: Sequence[dict[str, np.ndarray]]) -> None:
        """Check all, then time all in turns."""
        options, state = self.options, self.state
        where = f"{items} items, {threads_text(threads)}"
        differences = []
        for entrant in entrants:
            self.say(f"{where}: checking the scores of {entrant.process.name}{'' if entrant.part == ALL else ', model only'}")
            differences.append(self._difference(entrant, items, wanted))
        state.rounds += options.rounds * len(entrants)
        rounds: list[list[dict[str, Any]]] = [[] for _ in entrants]
        for number in range(options.rounds):
            for k in range(len(entrants))[:: -1 if number % 2 else 1]:
                one = entrants[k]
                rounds[k].append(one.process.ask(do="round", items=items, seconds=options.seconds, part=one.part))
                state.done += 1
                self.say(f"{where}: round {number + 1} of {options.rounds}, {one.process.name}")
        found = []
        for entrant, difference, own in zip(entrants, differences, rounds, strict=True):
            about = {**entrant.about, "workload": self.name, "items": items, "threads": threads, "part": entrant.part}
            found.append(self._with_kernels(measurement(own, **about, difference=difference), entrant.process))
        state.results = dataclasses.replace(state.results, measurements=(*state.results.measurements, *found))
        self.say(f"{where}: measured")

    def _difference(self, entrant: _Entrant, items: int, wanted: Sequence[dict[str, np.ndarray]]) -> float:
        """The largest difference to the expected scores. Raises BenchError when it is too large: nothing of it is timed."""
        reply = entrant.process.ask(do="scores", requests=CHECKED, items=items, part=entrant.part)
        largest = 0.0
        for found, of in zip(reply["scores"], wanted, strict=True):
            for name, values in of.items():
                scores = np.asarray(found[name] if name else next(iter(found.values())), np.float64).reshape(-1)
                expects = values[:items].reshape(-1)
                same = scores.shape == expects.shape and bool(np.isfinite(scores).all())
                largest = max(largest, float(np.abs(scores - expects).max()) if same else float("inf"))
        if not largest <= entrant.limit:
            raise BenchError(
                f"{self.name}: scores of {entrant.process.name} {entrant.about['target']} {entrant.about['precision']} differ by {largest:.1e} "
                f"from the expected ones, more than {entrant.limit:.0e}; nothing of it was timed"
            )
        return largest

    def _with_kernels(self, found: Measurement, process: Process) -> Measurement:
        if found.contestant != ENGINE:
            return found
        split = process.ask(do="split", items=found.items)
        kernels = tuple(Kernel(**one) for one in split["kernels"])
        requests = read_requests(str(self.files.folder), self.options.requests, found.items)
        return dataclasses.replace(found, whole_us=split["whole_us"], kernels=kernels, work=work_of(self.files, requests, kernels))


def _process(*arguments: Any) -> contextlib.closing[Process]:
    return contextlib.closing(Process(*arguments))
