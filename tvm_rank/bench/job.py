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

from tvm_rank.bench.builds import Build, local_build, server_build
from tvm_rank.bench.conditions import conditions
from tvm_rank.bench.contest import BASELINES, Process, Refusal, python_of
from tvm_rank.bench.machine import ceilings
from tvm_rank.bench.options import BASELINE_LIMIT, LIMITS, Options
from tvm_rank.bench.peers.ready import write_inputs
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.bench.results import ALL, ENGINE, Kernel, Measurement, NotRun, Results, measurement, threads_text
from tvm_rank.bench.work import work_of
from tvm_rank.bench.workloads import expected, model_inputs, names_of, prepare
from tvm_rank.errors import BenchError
from tvm_rank.tracker import Tracker

CHECKED = 2  # requests whose scores are compared before anything is timed


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
    from tvm_rank.target import resolve

    names = names_of(options.workloads)
    about = {key: value for key, value in dataclasses.asdict(options).items() if key not in ("folder", "pythons")}
    state = State(Results(conditions=conditions(), options=about, ceilings={}))
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(options.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="tvm-rank-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        for target in options.targets:
            resolve(target)  # raises TargetError for one that is none
        _look_at_baselines(options, state, on_change)
        if options.tracker is not None:
            on_change(state, "looking for servers")
            Tracker.of(options.tracker, options.key or "").servers()
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Entrant:
    """A contestant's process with what tells it apart, and the part that it is measured at. The process of servers has several models."""

    name: str
    process: Process
    about: Mapping[str, Any]
    part: str
    limit: float
    model: str = ""  # of several in the process, those on servers


class _LostError(BenchError):
    """The servers of a contestant died; the others go on."""


class _Workload:
    """One workload: its files, artifacts, contestants."""

    def __init__(self, name: str, folder: pathlib.Path, options: Options, state: State, on_change: OnChange):
        self.name, self.options, self.state = name, options, state
        self.say = lambda what: on_change(state, f"{name}: {what}")
        self.say("writing the model and its requests")
        self.folder = folder
        self.files = prepare(name, folder, requests=options.requests, items=max(options.batch_sizes))

    def measure(self) -> None:
        """All threads and batch sizes."""
        with tempfile.TemporaryDirectory(prefix="inputs-", dir=self.folder) as inputs:
            self.inputs = pathlib.Path(inputs)
            self._measure(list(self._builds()))

    def _measure(self, builds: Sequence[Build]) -> None:
        self.say("computing the expected scores")
        most = max(self.options.batch_sizes)
        feeds = model_inputs(self.files, CHECKED, most)
        for number, feed in enumerate(feeds):
            write_inputs(self.inputs, number, feed)
        wanted = expected(self.files, feeds, most)
        for threads in self.options.threads:
            with contextlib.ExitStack() as stack:
                entrants = list(self._entrants(builds, threads, stack))
                for items in self.options.batch_sizes:
                    self._measure_one(entrants, threads, items, wanted)

    def _builds(self) -> Iterator[Build]:
        """The artifacts that can run, here or on servers."""
        from tvm_rank.runtime.this_machine import lacking
        from tvm_rank.target import resolve

        options, folder = self.options, self.folder / "artifacts" / self.files.folder.name
        for target in options.targets:
            resolved = resolve(target)
            on_server = options.on_server(target)
            if on_server and resolved.is_gpu:
                self._leave_out(
                    f"{ENGINE} {target}", "GPUs are not measured on servers yet; run the same command on such a machine"
                )
                continue
            if not on_server and (why := lacking(resolved.machine, resolved.needs)):
                self._leave_out(f"{ENGINE} {target}", f"{why}; run the same command on such a machine")
                continue
            folder.mkdir(parents=True, exist_ok=True)
            for precision in options.precisions:
                if precision not in (fitting := resolved.precisions):
                    self._leave_out(
                        f"{ENGINE} {target} {precision}", f"there layers are in {', '.join(fitting)}; take that precision out"
                    )
                    continue
                given = (self.files, folder, target, precision, self.say)
                if on_server:
                    turns = len(read_requests(str(self.files.folder), options.requests, 1))
                    yield server_build(*given, turns=turns, key=str(options.key))
                else:
                    yield local_build(*given)

    def _entrants(self, builds: Sequence[Build], threads: int, stack: contextlib.ExitStack) -> Iterator[_Entrant]:
        """Every contestant, opened. A baseline is measured from raw fields if it can, and its model alone."""
        options = self.options
        common = {"folder": str(self.files.folder.resolve()), "requests": options.requests, "threads": threads}
        common |= {"inputs": str(self.inputs.resolve())}
        servers: Process | None = None
        for build in builds:
            limit = options.tolerance if options.tolerance is not None else LIMITS[build.precision]
            found = {"contestant": ENGINE, "target": build.target, "precision": build.precision, "machine": build.server}
            given = {"artifact": str(build.artifact.resolve()), "tables": options.tables}
            if build.probe is not None:
                given |= {
                    "probe": str(build.probe.resolve()),
                    "tracker": options.tracker or "",
                    "key": build.server,
                    "model": build.name,
                }
                if servers is None:
                    servers = stack.enter_context(_process(f"servers {build.server}", build.entry))
            process = servers if build.server and servers else stack.enter_context(_process(ENGINE, build.entry))
            try:
                yield from self._opened(process, found, limit, {**common, **given}, build.name if build.server else "")
            except BenchError as error:
                if not build.server:
                    raise
                self._leave_out(build.name, str(error).removeprefix(f"{process.name}: "))
        for name in options.against:
            process = stack.enter_context(_process(name, BASELINES[name].entry, python_of(name, options.pythons)))
            found = {"contestant": name, "target": "", "precision": "fp32"}
            try:
                yield from self._opened(process, found, max(BASELINE_LIMIT, options.tolerance or 0.0), common)
            except Refusal as refused:
                self._leave_out(name, str(refused).removeprefix(f"{name}: "))

    def _opened(
        self, process: Process, about: Mapping[str, Any], limit: float, given: Mapping[str, Any], model: str = ""
    ) -> Iterator[_Entrant]:
        name = model or process.name
        self.say(f"opening {name}")
        opened = process.ask(do="open", **given)
        if opened["why_not"]:
            self._leave_out(name, opened["why_not"])
        for part in opened["parts"]:
            told = {
                "versions": opened["versions"],
                "about": opened["about"] if part == ALL else "the dense model, from ready inputs",
            }
            shown = name if part == ALL else f"{name}, model only"
            yield _Entrant(name=shown, process=process, about={**about, **told}, part=part, limit=limit, model=model)

    def _leave_out(self, contestant: str, why: str) -> None:
        entry = NotRun(workload=self.name, contestant=contestant, why=why)
        results = self.state.results
        if entry not in results.not_run:
            self.state.results = dataclasses.replace(results, not_run=(*results.not_run, entry))

    def _measure_one(self, entrants: list[_Entrant], threads: int, items: int, wanted: Sequence[dict[str, np.ndarray]]) -> None:
        """Check all, then time all in turns. Those whose servers died are taken out of `entrants`."""
        options, state = self.options, self.state
        where = f"{items} items, {threads_text(threads)}"
        differences: dict[_Entrant, float] = {}
        for entrant in entrants:
            self.say(f"{where}: checking the scores of {entrant.name}")
            with self._unless_lost(entrant, where):
                differences[entrant] = self._difference(entrant, items, wanted)
        state.rounds += options.rounds * len(differences)
        rounds: dict[_Entrant, list[dict[str, Any]]] = {entrant: [] for entrant in differences}
        for number in range(options.rounds):
            for entrant in list(rounds)[:: -1 if number % 2 else 1]:
                with self._unless_lost(entrant, where, rounds):
                    asked = {"do": "round", "items": items, "seconds": options.seconds, "part": entrant.part}
                    rounds[entrant].append(_asked(entrant, **asked))
                state.done += 1
                self.say(f"{where}: round {number + 1} of {options.rounds}, {entrant.name}")
        found = []
        for entrant, own in rounds.items():
            notes = dict.fromkeys(one["note"] for one in own if one.get("note"))
            told = {**entrant.about, "about": "; ".join([entrant.about["about"], *notes])}
            about = {**told, "workload": self.name, "items": items, "threads": threads, "part": entrant.part}
            found.append(self._with_kernels(measurement(own, **about, difference=differences[entrant]), entrant.process))
        entrants[:] = rounds
        state.results = dataclasses.replace(state.results, measurements=(*state.results.measurements, *found))
        self.say(f"{where}: measured")

    @contextlib.contextmanager
    def _unless_lost(self, entrant: _Entrant, where: str, rounds: dict[_Entrant, Any] | None = None) -> Iterator[None]:
        """Go on without a contestant whose servers died."""
        try:
            yield
        except _LostError as error:
            self._leave_out(entrant.name, f"{where}, and what would have followed: {error}")
            if rounds is not None:
                del rounds[entrant]

    def _difference(self, entrant: _Entrant, items: int, wanted: Sequence[dict[str, np.ndarray]]) -> float:
        """The largest difference to the expected scores. Raises BenchError when it is too large: nothing of it is timed."""
        reply = _asked(entrant, do="scores", requests=CHECKED, items=items, part=entrant.part)
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
        if found.contestant != ENGINE or found.machine:
            return found
        split = process.ask(do="split", items=found.items)
        kernels = tuple(Kernel(**one) for one in split["kernels"])
        requests = read_requests(str(self.files.folder), self.options.requests, found.items)
        return dataclasses.replace(found, whole_us=split["whole_us"], kernels=kernels, work=work_of(self.files, requests, kernels))


def _asked(entrant: _Entrant, **asked: Any) -> dict[str, Any]:
    """The answer of a contestant. Raises _LostError when its servers died, and BenchError when another one fails."""
    try:
        return entrant.process.ask(**asked, model=entrant.model)
    except BenchError as error:
        if entrant.model:
            raise _LostError(str(error).removeprefix(f"{entrant.process.name}: ")) from error
        raise


def _process(*arguments: Any) -> contextlib.closing[Process]:
    return contextlib.closing(Process(*arguments))
