"""The loop of tuning: choose a task, propose candidates, build, measure, write down; at the end judge the best ones again."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tvm_rank.errors import TuningError
from tvm_rank.tune.database import Learned, TuningDatabase
from tvm_rank.tune.journal import Journal
from tvm_rank.tune.measure import FINAL, SEARCH, Built, Candidate, Measurer, Prepared, Timed, candidate
from tvm_rank.tune.records import LEAST_NOISE, Check, Choice, Session, TaskRecord, Trial, Verdict, mean_ratio
from tvm_rank.tune.search import Key, Measured, Search, identity
from tvm_rank.tune.whole import FIGURES, Confirmed

ROUND = 16  # candidates that are built together: starting the builder's processes takes 2 s
ROUND_S = 30.0  # that a round may take with a time budget, more where the share of the task is large
FIRST_ROUND = 4  # of them with a time budget, as long as it is not known how long they take
PROPOSALS = 4  # times that choices are asked for, since several may give the same kernel
JUDGED = 3  # candidates of a task that are measured again at the end
FINAL_PART = 0.1  # of a time budget, kept for the end


@dataclass(eq=False)
class TaskState:
    """A task while it is tuned: what was measured of it, now and before, and the verdict at the end."""

    prepared: Prepared
    search: Search
    default_seconds: tuple[float, ...]
    noise: float
    share: float = 0.0
    trials: list[Trial] = field(default_factory=list)
    verdict: Verdict | None = None
    exhausted: bool = False
    cost: float = 0.0  # seconds of a trial in the last round
    spent: float = 0.0  # seconds of all rounds
    same: set[Key] = field(default_factory=set)  # choices that give a kernel that another one gave

    def proposals(self, count: int) -> list[Candidate]:
        """Candidates to measure next, of choices and kernels that were not measured; none when none can be found."""
        task, found = self.prepared.task, dict[str, Candidate]()
        known = {identity(trial.choice) for trial in self.trials} | self.same
        known.add(identity(task.default))
        codes = {trial.kernel for trial in self.trials} | {candidate(task, task.default).code}
        measured = [Measured(trial.choice, trial.ratio) for trial in self.trials]
        for _ in range(PROPOSALS):
            for choice in self.search.propose(measured, known, count - len(found)):
                made = candidate(task, choice)
                known.add(identity(choice))
                if made.code and (made.code in codes or made.code in found):
                    self.same.add(identity(choice))
                else:
                    found[made.code or str(identity(choice))] = made
            if len(found) >= count:
                break
        return list(found.values())

    def affordable(self, seconds: float) -> int:
        """How many candidates fit into this time, at least one; few in the first round of a short time."""
        if not math.isfinite(seconds):
            return ROUND
        return max(1, min(ROUND, int(seconds / self.cost))) if self.cost else min(ROUND, FIRST_ROUND)

    @property
    def name(self) -> str:
        """The kernel's."""
        return self.prepared.task.name

    @property
    def best(self) -> Trial | None:
        """The best trial that beats the default."""
        found = min((trial for trial in self.trials if not trial.error), key=lambda trial: trial.ratio, default=None)
        return found if found is not None and found.ratio < 1 else None

    @property
    def gain(self) -> float:
        """How much of the time of this task the best choice saves, from 0 to 1."""
        if self.verdict is not None:
            return 1 - mean_ratio(self.verdict.seconds, self.verdict.default_seconds) if self.verdict.tuned else 0.0
        return 0.0 if self.best is None else 1 - self.best.ratio


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When the search ends: so many trials of all tasks together, or so many seconds; those of an earlier run of the same session count.
    reserve: seconds of them that are needed behind the verdicts."""

    trials: int | None = None
    seconds: float | None = None
    reserve: float = 0.0

    @property
    def search_seconds(self) -> float:
        """How long candidates are looked for."""
        return math.inf if self.seconds is None else self.seconds * (1 - FINAL_PART) - self.reserve


class Job:
    """One run of tuning. `states` and `elapsed` can be read at each call of `on_change(what happens)`."""

    def __init__(self, session: Session, journal: Journal, limits: Limits, seed: int, on_change: Callable[[str], None]):
        self.session, self.journal = session, journal
        self.limits, self.seed, self.on_change = limits, seed, on_change
        self.states: list[TaskState] = []
        self.notes: list[str] = []  # what a reader should know of this run
        self.check: Check | None = None
        self._known = [r for r in journal.records if isinstance(r, Trial) and r.session == session.key]
        self._before = max((trial.at for trial in self._known), default=0.0)
        self._started = time.perf_counter()

    @property
    def database(self) -> TuningDatabase:
        """What is known now."""
        return TuningDatabase(str(self.journal.path), self.journal.records)

    @property
    def elapsed(self) -> float:
        """Seconds of tuning in this session."""
        return self._before + time.perf_counter() - self._started

    @property
    def measured(self) -> int:
        """Trials of the tasks."""
        return sum(len(state.trials) for state in self.states)

    @property
    def gain(self) -> float:
        """How much of the time of all tasks is saved, from 0 to 1."""
        return sum(state.share * state.gain for state in self.states)

    def run(self, measurer: Measurer, prepared: Sequence[Prepared]) -> None:
        """Tune. Raises TuningError when nothing could be measured."""
        self.measurer = measurer
        self._begin(prepared)
        while (state := self._next()) is not None:
            self._round(state)
        if not any(not trial.error for state in self.states for trial in state.trials):
            raise TuningError(f"nothing was measured: {self._failures()}")
        self._judge()

    def _failures(self) -> str:
        errors = Counter(trial.error for state in self.states for trial in state.trials)
        if not errors:
            return "no trial was made; give more trials, or more time"
        text, count = errors.most_common(1)[0]
        return f"all {errors.total()} trials failed, {count} of them with: {text}"

    def _begin(self, prepared: Sequence[Prepared]) -> None:
        """Measure the defaults against themselves: their time, and the noise of this machine."""
        for one in prepared:
            self.on_change(f"measuring {one.task.name}")
            timed = self.measurer.measure(one, Built(candidate=candidate(one.task, one.task.default), path=one.default), FINAL)
            if timed.error:
                raise TuningError(f"{one.task.name}: its default cannot be measured: {timed.error}")
            search = Search(one.task.space, one.task.default, self.seed)
            state = TaskState(one, search, timed.default_seconds, _noise(timed))
            state.trials = [trial for trial in self._known if trial.task == one.task.name]
            self.states.append(state)
        self._weigh()
        self.journal.append(self.session)
        for state in self.states:
            task = state.prepared.task
            space = {name: list(values) for name, values in state.search.space.items()}
            self.journal.append(
                TaskRecord(session=self.session.key, name=task.name, operator=task.operator, calls=task.calls, default=task.default,
                           space=space, share=round(state.share, 4))
            )  # fmt: skip

    def _weigh(self) -> None:
        """Shares of the time of a request, the mean over the batch sizes."""
        for k in range(len(self.session.batch_sizes)):
            total = sum(state.prepared.task.calls * state.default_seconds[k] for state in self.states)
            for state in self.states:
                part = state.prepared.task.calls * state.default_seconds[k] / total
                state.share += part / len(self.session.batch_sizes)

    def _next(self) -> TaskState | None:
        """The task to try more of: trials are dealt by the shares, so that what takes long is looked at first and most; with a time budget
        time is, since candidates of features take many times longer than those of dense layers."""
        trials = self.limits.trials
        if self.elapsed >= self.limits.search_seconds:
            return None
        if trials is not None and self.measured >= trials:
            return None
        open_ones = [state for state in self.states if not state.exhausted]
        if self.limits.seconds is not None:
            return max(open_ones, key=lambda state: state.share / (state.spent + ROUND_S / 2), default=None)
        return max(open_ones, key=lambda state: state.share / (len(state.trials) + ROUND / 2), default=None)

    def _round(self, state: TaskState) -> None:
        """One round of candidates of a task."""
        count = ROUND if self.limits.trials is None else min(ROUND, self.limits.trials - self.measured)
        left = self.limits.search_seconds - self.elapsed
        found = state.proposals(min(count, state.affordable(max(min(left, ROUND_S), state.share * left))))
        if not found:
            state.exhausted = True
            return
        begun = self.elapsed
        self.on_change(f"building {len(found)} of {state.name}")
        built = self.measurer.build(found)
        self.on_change(f"measuring {state.name}")
        for one, timed in self.measurer.measure_all(state.prepared, built, SEARCH):
            trial = Trial(
                session=self.session.key, task=state.name, choice=one.candidate.choice, kernel=one.candidate.code,
                seconds=timed.seconds, default_seconds=timed.default_seconds, error=timed.error, at=round(self.elapsed, 3),
            )  # fmt: skip
            self.journal.append(trial)
            state.trials.append(trial)
            self.measurer.discard(one)
            self.on_change(f"measuring {state.name}")
            if self.elapsed >= self.limits.search_seconds:
                break
        state.cost = (self.elapsed - begun) / len(found)
        state.spent += self.elapsed - begun

    def _judge(self) -> None:
        """Measure the best ones again, longer, and keep the default unless one is better at no batch size's cost."""
        self.on_change("building the best ones again")
        best = [(state, choice) for state in self.states for choice in _best_of(state.trials)]
        built = self.measurer.build([candidate(state.prepared.task, choice) for state, choice in best])
        for state in self.states:
            self.on_change(f"judging {state.name}")
            kept: tuple[Choice, Timed] | None = None
            for one in (library for library, (owner, _) in zip(built, best, strict=True) if owner is state):
                timed = self.measurer.measure(state.prepared, one, FINAL)
                if _is_better(timed, state.noise) and (kept is None or _ratio(timed) < _ratio(kept[1])):
                    kept = one.candidate.choice, timed
            state.verdict = self._verdict(state, kept)
            self.journal.append(state.verdict)
        for one in built:
            self.measurer.discard(one)
        self.on_change("done")

    def confirm(self, learned: Sequence[Learned], found: Confirmed) -> None:
        """Write down what the whole model has shown; `learned`: all kernels that were tuned in it."""
        for one in learned:
            if one.task.name in found.dropped:
                verdict = Verdict(
                    session=one.session.key, task=one.task.name, choice=one.task.default, tuned=False, seconds=one.default_seconds,
                    default_seconds=one.default_seconds, noise=0.0,
                )  # fmt: skip
                self.journal.append(verdict)
                for state in self.states:
                    state.verdict = verdict if state.name == verdict.task else state.verdict
        figures = dataclasses.asdict(found.compared) if found.compared else dict.fromkeys(FIGURES, ()) | {"difference": 0.0}
        self.check = Check(session=self.session.key, kernels=found.kept, dropped=found.dropped, **figures)
        self.journal.append(self.check)
        self.on_change("done")

    def _verdict(self, state: TaskState, kept: tuple[Choice, Timed] | None) -> Verdict:
        task, seconds = state.prepared.task, state.default_seconds
        return Verdict(
            session=self.session.key, task=task.name, choice=task.default if kept is None else kept[0], tuned=kept is not None,
            seconds=seconds if kept is None else kept[1].seconds,
            default_seconds=seconds if kept is None else kept[1].default_seconds, noise=round(state.noise, 4),
        )  # fmt: skip


def _noise(timed: Timed) -> float:
    """What two measurements of the same kernel differ by."""
    return max(LEAST_NOISE, *(abs(a / b - 1) for a, b in zip(timed.seconds, timed.default_seconds, strict=True)))


def _ratio(timed: Timed) -> float:
    return mean_ratio(timed.seconds, timed.default_seconds)


def _is_better(timed: Timed, noise: float) -> bool:
    """Faster in the mean by more than the noise, and slower at no batch size."""
    if timed.error or not math.isfinite(_ratio(timed)):
        return False
    worst = max(a / b for a, b in zip(timed.seconds, timed.default_seconds, strict=True))
    return _ratio(timed) < 1 - noise and worst <= 1 + noise


def _best_of(trials: Sequence[Trial]) -> list[Choice]:
    """The choices that are worth another look, the best first."""
    better = sorted((trial for trial in trials if not trial.error and trial.ratio < 1), key=lambda trial: trial.ratio)
    return [trial.choice for trial in better[:JUDGED]]


__all__ = ["Job", "Limits", "TaskState"]
