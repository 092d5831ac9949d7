"""An artifact that is loaded from a temporary folder, to score samples."""

from __future__ import annotations

import collections
import pathlib
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from relay_passes.reduce_dense import mark_of
from tvm_rank.artifact.artifact import Artifact
from tvm_rank.precision import Samples
from tvm_rank.runtime.engine import Engine, load

_DENSE = re.compile(r"dense_\d+x\d+_")  # the kernels of `rank.dense`
TURNS = 15


@contextmanager
def trial(artifact: Artifact) -> Iterator[Engine]:
    """An engine of the artifact; its folder is removed behind it."""
    with tempfile.TemporaryDirectory(prefix="tvm_rank_trial_") as folder:
        path = pathlib.Path(folder) / "artifact"
        artifact.save(path)
        yield load(path, verify=False)


def scores(engine: Engine, samples: Samples) -> dict[str, np.ndarray]:
    """Output -> scores of the samples."""
    return dict(engine.rank(**samples.arguments()))


def seconds_in_turns(engines: Sequence[Engine], samples: Samples) -> list[float]:
    """Of one call with all samples, by each engine: the median of a few, taken in turns, so that a busy moment meets all."""
    taken: list[list[float]] = [[] for _ in engines]
    for _ in range(TURNS):
        for engine, times in zip(engines, taken, strict=True):
            started = time.perf_counter()
            engine.rank(**samples.arguments())
            times.append(time.perf_counter() - started)
    return [float(np.median(times)) for times in taken]


def dense_inputs(engine: Engine, samples: Samples) -> dict[bytes, np.ndarray]:
    """What each dense layer read, by the mark of its weight (`relay_passes.reduce_dense.mark_of`): (rows, K) float32."""
    found: dict[bytes, list[np.ndarray]] = collections.defaultdict(list)

    def keep(_function: Any, name: str, before: bool, _result: Any, *arguments: Any) -> int:
        if before and _DENSE.match(str(name)):
            x, packed = (np.from_dlpack(argument) for argument in arguments[:2])
            found[mark_of(packed)].append(x.copy())
        return 0

    with engine.machines.watched(keep):
        engine.rank(**samples.arguments())
    return {mark: np.concatenate(rows) for mark, rows in found.items()}
