"""The table that `tvm-rank bench` keeps up to date on a terminal; elsewhere a line for each step but the rounds."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from tvm_rank.cli.live_table import clock

if TYPE_CHECKING:
    from tvm_rank.bench.job import State

EVERY_S = 0.25  # how often it is drawn
SHOWN = 24  # measurements, the last ones


class BenchTable:
    """A context manager; `update(state, what happens)` draws."""

    def __init__(self, *, quiet: bool):
        self.quiet, self.console = quiet, Console(stderr=True)
        self._live = None if quiet or not self.console.is_terminal else Live(console=self.console, auto_refresh=False)
        self._drawn = 0.0

    def update(self, state: State, what: str) -> None:
        """Show the state."""
        now = time.perf_counter()
        if self._live is not None and (now - self._drawn > EVERY_S or ": round " not in what):
            self._drawn = now
            self._live.update(table(state, what), refresh=True)
        elif self._live is None and not self.quiet and ": round " not in what:
            print(f"[{now - state.started:6.1f} s] {what}", file=sys.stderr, flush=True)

    def __enter__(self) -> BenchTable:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()


def table(state: State, what: str) -> Table:
    """A row for each measurement that is finished."""
    elapsed = clock(time.perf_counter() - state.started)
    made = Table(
        title=f"{what} · {elapsed}",
        title_justify="left",
        caption=f"{state.done} of {state.rounds} rounds of the batch sizes so far",
    )
    for name in ("workload", "items", "threads", "contestant", "p50 us", "p99 us", "items/s", "core ms"):
        made.add_column(name, justify="left" if name in ("workload", "contestant") else "right")
    for one in state.results.measurements[-SHOWN:]:
        figures = [f"{value:,.0f}" for value in (one.p50_us, one.p99_us, one.items_per_s)]
        made.add_row(one.workload, str(one.items), str(one.threads), one.name, *figures, f"{one.core_ms:.2f}")
    return made
