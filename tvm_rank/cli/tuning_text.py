"""What a tuning database has learned, for a reader."""

from __future__ import annotations

from collections.abc import Iterator

from tvm_rank.cli.text_table import text_table
from tvm_rank.tune.database import Learned, TuningDatabase
from tvm_rank.tune.records import Session, mean_ratio


def learned_text(database: TuningDatabase) -> str:
    """A part for each session: its conditions, a row for each kernel, the knobs that differ from the default."""
    return "\n\n".join(_session(database, session) for session in database.sessions.values()) or f"{database.source}: empty"


def _session(database: TuningDatabase, session: Session) -> str:
    learned = [one for one in database.learned() if one.session == session]
    lines = [
        f"{session.processor}, {session.threads} thread{'s' if session.threads > 1 else ''}, target {session.target}",
        f"tvm-rank {session.version}, TVM {session.tvm_version}, microseconds of a call at {', '.join(map(str, session.batch_sizes))} items",
    ]
    rows = [_row(one) for one in learned]
    header = ["kernel", "share", "trials", "default", "tuned", "saved", ""]
    return "\n".join([*lines, text_table(header, rows), *_changes(learned)])


def _row(one: Learned) -> list[str | int | float]:
    def times(seconds: tuple[float, ...]) -> str:
        return " / ".join(f"{value * 1e6:.1f}" for value in seconds)

    saved = f"{1 - mean_ratio(one.seconds, one.default_seconds):.1%}" if one.tuned else "-"
    share, state = f"{one.task.share:.0%}", "" if one.judged else "not judged yet"
    return [
        one.task.name,
        share,
        str(one.trials),
        times(one.default_seconds),
        times(one.seconds) if one.tuned else "as it is",
        saved,
        state,
    ]


def _changes(learned: list[Learned]) -> Iterator[str]:
    """The knobs of the tuned kernels that are not the default's."""
    for one in learned:
        before = one.task.default
        changed = [f"{name} {before.get(name)} -> {value}" for name, value in one.choice.items() if value != before.get(name)]
        if one.tuned and changed:
            yield f"  {one.task.name}: {', '.join(changed)}"
