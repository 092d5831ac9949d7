"""What `compile(tuning=...)` means."""

from __future__ import annotations

import os
import warnings

from tvm_rank.errors import RankError
from tvm_rank.schedule import Schedule
from tvm_rank.target import ResolvedTarget
from tvm_rank.tune.database import TuningDatabase


def schedule_of(tuning: object, target: ResolvedTarget) -> Schedule:
    """The schedule for a target: None for its defaults, a Schedule, a TuningDatabase, or the path of one; what of a database is not used
    is a warning. Raises RankError for anything else, TuningError for a database that has nothing for the target."""
    if tuning is None or isinstance(tuning, Schedule):
        return tuning or Schedule()
    if isinstance(tuning, (str, os.PathLike)):
        tuning = TuningDatabase.load(tuning)
    if not isinstance(tuning, TuningDatabase):
        raise RankError(f"tuning={tuning!r}: give the path of a tuning database, or a tvm_rank.schedule.Schedule")
    schedule, words = tuning.schedule(str(target.tvm_target))
    for word in words:
        warnings.warn(f"{tuning.source}: {word}", stacklevel=3)
    return schedule
