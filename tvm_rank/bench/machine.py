"""The machine's ceilings, measured in a process of their own (`ceilings.py`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tvm_rank.errors import BenchError

LIMIT_S = 300
LOWER_IS_BETTER = ("row_ns",)


def ceilings(threads: Sequence[int], best_of: Mapping[str, Mapping[str, float]] | None = None) -> dict[str, dict[str, float]]:
    """threads, as text -> {name: figure}; the better of these and of `best_of`, which were measured before."""
    words = [str(count) for count in sorted(set(threads))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "tvm_rank.bench.ceilings", *words]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=True, start_new_session=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", "") or ""
        raise BenchError(
            f"the machine's ceilings could not be measured ({error}); --no-ceilings leaves them out\n{told[-600:]}"
        ) from error
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    for count, before in (best_of or {}).items():
        for name, figure in before.items():
            choose = min if name in LOWER_IS_BETTER else max
            found[count][name] = choose(found[count][name], figure)
    return {count: found[count] for count in words}


def roof(figures: Mapping[str, float], intensity: float) -> float:
    """GFLOP/s that the machine allows at most for `intensity` FLOPs per byte."""
    return min(figures["gflops"], intensity * figures["copy_gb_s"])
