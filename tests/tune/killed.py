"""Tuning in a process that is killed with SIGKILL in the middle, and what a second run must then leave of the first one's trials."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tvm_rank.tune.journal import read_journal
from tvm_rank.tune.records import Trial
from tvm_rank.tune.search import identity

HERE = pathlib.Path(__file__).parent


def trials_of(path: pathlib.Path) -> list[Trial]:
    """Those of a database."""
    return [record for record in read_journal(path) if isinstance(record, Trial)]


def killed_after(trials: int, program: str, path: pathlib.Path, *arguments: str, **environment: str) -> list[Trial]:
    """Run Python code, which tunes into `path`, its first argument, and kill it when it has written so many trials; those that it wrote."""
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    command = [sys.executable, "-c", program, str(path), *arguments]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths, **environment})
    try:
        while not path.exists() or path.read_bytes().count(b'"kind": "trial"') < trials:
            time.sleep(0.01)
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return trials_of(path)


def assert_nothing_lost_or_repeated(before: Sequence[Trial], after: Sequence[Trial], trials: int) -> None:
    """`after` are the trials of the killed run and of the one behind it, which together may make so many."""
    assert 1 <= len(before) <= trials
    assert list(after[: len(before)]) == list(before)
    assert len(after) == trials
    assert max(Counter(identity(trial.choice) for trial in after).values()) == 1
