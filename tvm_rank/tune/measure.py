"""Building and measuring candidates in processes of their own, by MetaSchedule's builder and runner.

A candidate that crashes, hangs or gives other results costs itself: its process is killed and started again.
"""

from __future__ import annotations

import functools
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tvm_rank.errors import TuningError
from tvm_rank.runtime import tvm_runtime
from tvm_rank.target import ResolvedTarget
from tvm_rank.tune import worker
from tvm_rank.tune.records import Choice
from tvm_rank.tune.task import Task

BUILD_LIMIT_S, RUN_LIMIT_S = 120.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured: rounds of the candidate and the default in turn, and runs of each in a round."""

    rounds: int
    runs: int


SEARCH = Effort(rounds=15, runs=4)
FINAL = Effort(rounds=75, runs=4)


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A kernel to build. code: a digest of it, since several choices may give the same · module: None with an error."""

    choice: Choice
    code: str = ""
    module: Any = None
    error: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Built:
    """The library of a candidate, or the error that there is none."""

    candidate: Candidate
    path: str | None
    error: str = ""


def candidate(task: Task, choice: Choice) -> Candidate:
    """The kernel of a task with these knobs."""
    import tvm_ffi

    try:
        module = task.module(choice)
    except (ValueError, AssertionError, RuntimeError) as error:
        message = shortened(f"no such kernel: {error}")
        return Candidate(choice=choice, error=message)
    return Candidate(choice=choice, module=module, code=f"{tvm_ffi.structural_hash(module) % 2**64:016x}")


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Seconds of a candidate and of the default kernel, for each batch size; empty with an error."""

    seconds: tuple[float, ...] = ()
    default_seconds: tuple[float, ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A task that can be measured: its recorded calls, one for each batch size, and the library of its default."""

    task: Task
    calls: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    default: str


class Measurer:
    """Builds and measures on this machine. A context manager; `folder` is for what is needed meanwhile."""

    def __init__(self, target: ResolvedTarget, threads: int, folder: pathlib.Path, run_limit_s: float = RUN_LIMIT_S):
        from tvm.s_tir.meta_schedule.builder import LocalBuilder

        self.target, self.threads, self.folder, self.run_limit_s = target, threads, folder, run_limit_s
        self._export = functools.partial(worker.export, target=str(target.tvm_target), machine=target.machine, folder=str(folder))
        # a process for each core: the cores are free while candidates are built
        self._builder = LocalBuilder(
            max_workers=tvm_runtime.cores(), timeout_sec=BUILD_LIMIT_S, f_build=worker.build, f_export=self._export
        )
        self._runner: Any = self._new_runner()

    def _new_runner(self) -> Any:
        from tvm.s_tir.meta_schedule.runner import LocalRunner

        return LocalRunner(timeout_sec=self.run_limit_s)

    def prepare(self, tasks: Sequence[Task], batch_sizes: tuple[int, ...]) -> list[Prepared]:
        """Build the defaults and record calls. Raises TuningError when a default cannot be built."""
        built = self.build([candidate(task, task.default) for task in tasks])
        found = []
        for number, (task, default) in enumerate(zip(tasks, built, strict=True)):
            if default.path is None:
                raise TuningError(f"{task.name}: its default cannot be built: {default.error}")
            calls = []
            for rows in batch_sizes:
                folder = self.folder / f"call_{number}_{rows}"
                folder.mkdir()
                task.record(folder, rows)
                calls.append(str(folder))
            found.append(Prepared(task=task, calls=tuple(calls), batch_sizes=batch_sizes, default=default.path))
        return found

    def build(self, wanted: Sequence[Candidate]) -> list[Built]:
        """Libraries of candidates, in the same order."""
        from tvm.s_tir.meta_schedule.builder import BuilderInput

        inputs = [BuilderInput(one.module, self.target.tvm_target) for one in wanted if one.module is not None]
        results = iter(self._builder.build(inputs) if inputs else [])
        found = []
        for one in wanted:
            if one.module is None:
                found.append(Built(candidate=one, path=None, error=one.error))
                continue
            result = next(results)
            path = None if result.artifact_path is None else str(result.artifact_path)
            found.append(Built(candidate=one, path=path, error=shortened(result.error_msg)))
        return found

    def measure(self, prepared: Prepared, built: Built, effort: Effort) -> Timed:
        """Run a candidate, compare, and time it in alternation with the default."""
        if built.path is None:
            return Timed(error=built.error)
        return self._timed(self._run(prepared, [built], effort)[0])

    def measure_all(self, prepared: Prepared, built: Sequence[Built], effort: Effort) -> Iterator[tuple[Built, Timed]]:
        """Each candidate with its measurement, as soon as it is there."""
        for one in built:
            yield one, self.measure(prepared, one, effort)

    def _run(self, prepared: Prepared, built: Sequence[Built], effort: Effort) -> list[Any]:
        """The futures of the candidates."""
        from tvm.s_tir.meta_schedule.arg_info import TensorInfo
        from tvm.s_tir.meta_schedule.runner import EvaluatorConfig, RunnerInput

        task, rows = prepared.task, max(prepared.batch_sizes)
        inner = self._runner
        inner.f_alloc_argument = self._shapes()
        inner.f_run_evaluator = functools.partial(
            self._evaluator(),
            calls=prepared.calls,
            default=prepared.default,
            default_shapes=task.shapes(task.default, rows),
            threads=self.threads,
        )
        inner.evaluator_config = EvaluatorConfig(number=effort.runs, repeat=effort.rounds)
        inputs = []
        for one in built:
            info = [TensorInfo("float32", shape) for shape in task.shapes(one.candidate.choice, rows)]
            inputs.append(RunnerInput(one.path, "cuda" if self.target.is_gpu else "cpu", info))
        futures: list[Any] = list(inner.run(inputs))
        return futures

    def _shapes(self) -> Callable[..., Any]:
        return worker.shapes_of

    def _evaluator(self) -> Callable[..., list[float]]:
        return worker.evaluate

    @staticmethod
    def _timed(future: Any) -> Timed:
        result = future.result()
        if result.run_secs is None:
            return Timed(error=shortened(result.error_msg))
        values = tuple(float(value) for value in result.run_secs)
        return Timed(seconds=values[::2], default_seconds=values[1::2])

    def discard(self, built: Built) -> None:
        """Remove the library of a candidate."""
        if built.path is not None:
            shutil.rmtree(pathlib.Path(built.path).parent, ignore_errors=True)

    def close(self) -> None:
        """End the processes."""
        self._runner.pool.shutdown()

    def __enter__(self) -> Measurer:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def shortened(message: Any) -> str:
    """The line of an error message that says what happened."""
    lines = [line.strip() for line in str(message or "").splitlines() if line.strip()]
    return "" if not lines else lines[-1][:300] if len(lines) > 1 else lines[0][:300]
