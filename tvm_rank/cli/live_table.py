"""The table that `tvm-rank tune` keeps up to date on a terminal; elsewhere a line for each stage."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from tvm_rank.cli.interrupt import Interrupts

if TYPE_CHECKING:
    from tvm_rank.tune.job import Job

EVERY_S = 0.25  # how often it is drawn


class LiveTable:
    """A context manager; `update(job, what happens)` draws, and ends the command if Ctrl-C came."""

    def __init__(self, interrupts: Interrupts, *, quiet: bool):
        self.interrupts, self.quiet = interrupts, quiet
        self.console = Console(stderr=True)
        self._live = None if quiet or not self.console.is_terminal else Live(console=self.console, auto_refresh=False)
        self._drawn = self._said = 0.0
        self._stage = ""

    def update(self, job: Job, what: str) -> None:
        """Show the state of a job."""
        self.interrupts.check()
        now = time.perf_counter()
        if self._live is not None and now - self._drawn > EVERY_S:
            self._drawn = now
            self._live.update(table(job, what), refresh=True)
        elif self._live is None and not self.quiet and what != self._stage:
            self._stage = what
            print(f"[{job.elapsed:6.1f} s] {job.measured:4d} trials, {job.gain:6.1%} saved; {what}", file=sys.stderr, flush=True)

    def __enter__(self) -> LiveTable:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()


def table(job: Job, what: str) -> Table:
    """A row for each kernel: its share of the time, its trials, its best time over the default's."""
    made = Table(
        title=f"{what} · {_left(job)}", title_justify="left", caption=f"saved of the time of these kernels: {job.gain:.1%}"
    )
    for name in ("kernel", "share", "trials", "failed", "now", "best", "saved"):
        made.add_column(name, justify="left" if name == "kernel" else "right")
    for state in job.states:
        now = sum(state.default_seconds) / len(state.default_seconds)
        failed = sum(1 for trial in state.trials if trial.error)
        made.add_row(
            state.name, f"{state.share:.0%}", str(len(state.trials)), str(failed or ""), _time(now), _time(now * (1 - state.gain)),
            f"{state.gain:.1%}" if state.gain else "",
        )  # fmt: skip
    return made


def _left(job: Job) -> str:
    """What was done, and what is left."""
    limits, done = job.limits, f"{job.measured} trials"
    if limits.trials is not None:
        done += f" of {limits.trials}"
        if job.measured and limits.seconds is None:
            left = job.elapsed / job.measured * max(0, limits.trials - job.measured)
            return f"{done} · about {clock(left)} left"
    if limits.seconds is not None:
        return f"{done} · {clock(max(0.0, limits.seconds - job.elapsed))} left"
    return done


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} us"
