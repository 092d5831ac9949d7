"""Measuring on other machines: MetaSchedule's RPC runner, TVM's tracker, and servers that need only TVM's runtime.

Candidates are built here and run on whichever server is free. A server that dies takes its candidate with it; since that looks like a
candidate that crashed, each one gets a second chance elsewhere before it counts as failed.
"""

from __future__ import annotations

import pathlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tvm_rank.errors import TuningError
from tvm_rank.target import ResolvedTarget
from tvm_rank.tracker import Tracker
from tvm_rank.tune import worker
from tvm_rank.tune.measure import RUN_LIMIT_S, Built, Effort, Measurer, Prepared, Timed
from tvm_rank.tune.packed import REQUESTS

SESSION_S = 20.0  # a server ends a session that takes longer, as one does whose candidate hangs; and the time of its round trips
PATIENCE_S = 180.0  # without any result, when no server answers
POLL_S = 0.02
CHANCES = 2
ROUND_TRIPS = 3  # a round costs two of them for each request, so that there are fewer and longer ones
BESIDE = 60  # round trips of a request beside its rounds, at most: tensors, results, timers
PROBES = 5


class RemoteMeasurer(Measurer):
    """Builds here, measures on the servers of a tracker, as many candidates at a time as there are servers."""

    def __init__(
        self, target: ResolvedTarget, threads: int, folder: pathlib.Path, tracker: Tracker, run_limit_s: float = RUN_LIMIT_S
    ):
        self.tracker, self.servers, self.session_s = tracker, tracker.servers(), SESSION_S
        self.round_trip_s = round_trip_s(tracker)
        super().__init__(target, threads, folder, run_limit_s)

    def _new_runner(self) -> Any:
        from tvm.s_tir.meta_schedule.runner import RPCConfig, RPCRunner
        from tvm.support.popen_pool import PopenPoolExecutor

        where = self.tracker
        config = RPCConfig(
            tracker_host=where.host,
            tracker_port=where.port,
            tracker_key=where.key,
            session_timeout_sec=self.session_s,
            session_priority=1,
        )
        runner = RPCRunner(rpc_config=config, max_workers=self.servers)
        # its own pool waits for ever, and of a server that dies in the middle of a call no word may come
        runner.pool.shutdown()
        runner.pool = PopenPoolExecutor(max_workers=self.servers, timeout=self.run_limit_s + self.session_s)
        return runner

    def _shapes(self) -> Callable[..., Any]:
        return worker.shapes_of_remote

    def _evaluator(self) -> Callable[..., list[float]]:
        return worker.evaluate_remote

    def measure(self, prepared: Prepared, built: Built, effort: Effort) -> Timed:
        ((_, timed),) = self.measure_all(prepared, [built], effort)
        return timed

    def measure_all(self, prepared: Prepared, built: Sequence[Built], effort: Effort) -> Iterator[tuple[Built, Timed]]:
        for one in built:
            if one.path is None:
                yield one, Timed(error=one.error)
        waiting = [one for one in built if one.path is not None]
        for chance in range(1, CHANCES + 1):
            again = []
            for one, timed in self._as_they_end(prepared, waiting, effort):
                if timed.error and chance < CHANCES:
                    again.append(one)
                else:
                    yield one, timed
            waiting = again

    def _as_they_end(self, prepared: Prepared, built: Sequence[Built], effort: Effort) -> Iterator[tuple[Built, Timed]]:
        """Candidates with their times. Raises TuningError when nothing comes for long."""
        fewer = Effort(rounds=max(1, effort.rounds // ROUND_TRIPS), runs=effort.runs * ROUND_TRIPS)
        self._allow(SESSION_S + self.round_trip_s * len(prepared.calls) * REQUESTS * (2 * fewer.rounds + BESIDE))
        patience = PATIENCE_S + self.session_s
        pending = dict(enumerate(self._run(prepared, built, fewer)))
        since = time.monotonic()
        while pending:
            ready = [k for k, future in pending.items() if future.done()]
            for k in ready:
                yield built[k], self._timed(pending.pop(k))
                since = time.monotonic()
            if not ready and time.monotonic() - since > patience:
                raise TuningError(
                    f"no server with the key {self.tracker.key!r} has answered for {patience:.0f} s; look whether they run, and run "
                    "the same command again: what was measured is kept"
                )
            if not ready:
                time.sleep(POLL_S)

    def _allow(self, limit_s: float) -> None:
        """Let sessions take so long; none is running."""
        if limit_s > self.session_s:
            self.session_s = limit_s
            self.close()
            self._runner = self._new_runner()


def round_trip_s(tracker: Tracker) -> float:
    """Seconds from a question to the answer of a server. Raises RpcError when none is free."""
    session = tracker.session(SESSION_S)
    times = []
    for _ in range(PROBES):
        begun = time.perf_counter()
        session.get_function("runtime.config_threadpool")
        times.append((time.perf_counter() - begun) / 2)  # the function is given back with a word of its own
    return statistics.median(times)
