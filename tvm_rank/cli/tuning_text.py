"""What a tuning database has learned, for a reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tvm_rank.cli.text_table import text_table
from tvm_rank.tune.database import Learned, TuningDatabase
from tvm_rank.tune.records import LEAST_NOISE, Check, Session, StoreTrial, best_of, mean_ratio


def learned_text(database: TuningDatabase) -> str:
    """A part for each session: its conditions, a row for each kernel, the knobs that differ from the default."""
    return "\n\n".join(_session(database, session) for session in database.sessions.values()) or f"{database.source}: empty"


def _session(database: TuningDatabase, session: Session) -> str:
    learned = [one for one in database.learned() if one.session == session]
    lines = [
        f"{session.processor}, {session.threads} thread{'s' if session.threads > 1 else ''}, target {session.target}",
        f"tvm-rank {session.version}, TVM {session.tvm_version}, microseconds of a call at {', '.join(map(str, session.batch_sizes))} items",
    ]
    lines += [f"requests: {session.requests}"] if session.requests else []
    rows = [_row(one) for one in learned]
    header = ["kernel", "share", "trials", "default", "tuned", "saved", ""]
    checks = [line for check in database.checks(session)[-1:] for line in check_lines(check, session.batch_sizes)]
    parts = [*([text_table(header, rows)] if rows else []), *_changes(learned)]
    parts += [line for name in database.store_names(session) for line in _stores(database.stores(session, name))]
    return "\n".join([*lines, *parts, *checks])


def _stores(trials: Sequence[StoreTrial]) -> Iterator[str]:
    """The item stores that were tried."""
    yield f"other item stores, of {trials[0].store}, the whole model:"
    best = best_of(trials)
    rows: list[list[str | int | float]] = []
    for one in trials:
        saved = [f"{1 - ratio:+.1%}" for ratio in one.ratios]
        is_taken = best is not None and (best.layout, best.materialize) == (one.layout, one.materialize)
        mean = f"{1 - one.mean_ratio:+.1%}" if saved else ""
        rows.append([f"{one.layout}, {one.materialize}", mean, " / ".join(saved), one.error or ("taken" if is_taken else "")])
    yield text_table(["store", "saved", "at each batch size", ""], rows)


def check_lines(check: Check, batch_sizes: Sequence[int]) -> Iterator[str]:
    """What the whole model has shown."""
    if check.dropped:
        yield f"dropped, since the whole model was slower or had other scores with it: {', '.join(check.dropped)}"
    if not check.kernels:
        yield "the whole model: stays as it is, nothing was found that makes it faster"
        return
    yield "the whole model, tuned kernels in the place of the default ones:"
    rows: list[list[str | int | float]] = [
        [
            str(rows),
            f"{seconds * 1e6:,.0f}",
            f"{seconds * ratio * 1e6:,.0f}",
            f"{1 - ratio:+.1%}",
            f"{1 - most:+.1%} to {1 - least:+.1%}",
        ]
        for rows, seconds, ratio, least, most in zip(
            batch_sizes, check.default_seconds, check.ratios, check.least, check.largest, strict=True
        )
    ]
    yield text_table(["items", "default us", "tuned us", "saved", "between loads"], rows)
    worst = max(check.ratios) - 1
    better = sum(ratio < 1 - LEAST_NOISE for ratio in check.ratios)
    told = (
        f"faster at {better} of {len(check.ratios)} batch sizes, " if better < len(check.ratios) else "faster at every batch size, "
    )
    kept = f"slower at none by more than {LEAST_NOISE:.0%}, which is taken for noise" if worst > 0 else "slower at none"
    yield f"{told}{kept}; scores differ by {check.difference:.1e} at most"


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
