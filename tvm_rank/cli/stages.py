"""The lines that long commands print as their stages begin."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tvm_rank.cli.interrupt import Interrupts


def stage_printer(interrupts: Interrupts, *, quiet: bool) -> Callable[[str], None]:
    """A function that prints the name of a stage with the seconds since now, and ends the command if Ctrl-C came before it."""
    started = time.perf_counter()

    def progress(stage: str) -> None:
        interrupts.check()
        if not quiet:
            print(f"[{time.perf_counter() - started:6.1f} s] {stage}", file=sys.stderr, flush=True)

    return progress
