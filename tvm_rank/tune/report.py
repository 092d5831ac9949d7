"""The report of a tuning database: the figures as JSON, and a page with plots that needs no other file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from html import escape
from typing import Any

from tvm_rank.tune.database import Learned, TuningDatabase
from tvm_rank.tune.records import Check, Session, StoreTrial, Trial, mean_ratio
from tvm_rank.web_page import html_table, page, svg

WIDTH, HEIGHT, MARGIN = 520, 180, 42  # of a plot, and of the room for its axes; pixels
BEFORE, AFTER = "#9ecae1", "#31a354"


def report_json(database: TuningDatabase) -> str:
    """What was learned: sessions with their kernels, times before and after in seconds, best ratio over the trials."""
    sessions = []
    for session in database.sessions.values():
        kernels = [_described(database, one) for one in database.learned() if one.session == session]
        checks = [dataclasses.asdict(check) for check in database.checks(session)]
        tried = [dataclasses.asdict(one) for name in database.store_names(session) for one in database.stores(session, name)]
        sessions.append({**dataclasses.asdict(session), "kernels": kernels, "checks": checks, "stores": tried})
    return json.dumps({"sessions": sessions}, indent=1)


def _described(database: TuningDatabase, one: Learned) -> dict[str, Any]:
    return {
        "name": one.task.name,
        "share": one.task.share,
        "trials": one.trials,
        "tuned": one.tuned,
        "judged": one.judged,
        "default": one.task.default,
        "choice": one.choice,
        "default_seconds": one.default_seconds,
        "seconds": one.seconds,
        "best_ratios": best_ratios(database, one),
    }


def best_ratios(database: TuningDatabase, one: Learned) -> list[float]:
    """After each trial of a kernel, the least time so far over the default's; 1 until a trial was better."""
    best, found = 1.0, []
    for record in database.records:
        if isinstance(record, Trial) and (record.session, record.task) == (one.session.key, one.task.name):
            best = best if record.error else min(best, record.ratio)
            found.append(round(best, 5))
    return found


def report_html(database: TuningDatabase) -> str:
    """A page: for each session its conditions, a table, the bars before and after, and the best time over the trials of each kernel."""
    parts = [_session(database, session) for session in database.sessions.values()]
    return page("Tuning", f"Tuning: {database.source}", parts)


def _session(database: TuningDatabase, session: Session) -> str:
    learned = [one for one in database.learned() if one.session == session]
    sizes = ", ".join(map(str, session.batch_sizes))
    about = (
        f"{session.processor}, {session.threads} thread(s), tvm-rank {session.version}, TVM {session.tvm_version}, {session.target}"
    )
    parts = [
        f"<h2>{escape(about)}</h2>",
        *([f"<p>Requests: {escape(session.requests)}.</p>"] if session.requests else []),
        f"<p>Microseconds of a call at {sizes} items; saved is the mean over these.</p>",
        _table(learned),
    ]
    for check in database.checks(session)[-1:]:
        parts += ["<h3>The whole model</h3>", _check(check, session)]
    for name in database.store_names(session):
        parts += [f"<h3>Other item stores, of {escape(name)}</h3>", _stores(database.stores(session, name))]
    parts += ["<h3>Before and after</h3>", _bars(learned, session)]
    for one in learned:
        if ratios := best_ratios(database, one):
            parts += [
                f"<h3>{escape(one.task.name)}: the best time so far, of the default's, over {one.trials} trials</h3>",
                _line(ratios),
            ]
    return "\n".join(parts)


def _check(check: Check, session: Session) -> str:
    """The tuned model against the default one."""
    dropped = f"<p>Dropped by this check: {escape(', '.join(check.dropped))}.</p>" if check.dropped else ""
    if not check.kernels:
        return f"{dropped}<p>It stays as it is: nothing was found that makes it faster.</p>"
    figures = zip(session.batch_sizes, check.default_seconds, check.ratios, check.least, check.largest, strict=True)
    rows = [
        [
            str(size),
            f"{seconds * 1e6:,.0f}",
            f"{seconds * ratio * 1e6:,.0f}",
            f"{1 - ratio:+.1%}",
            f"{1 - most:+.1%} to {1 - least:+.1%}",
        ]
        for size, seconds, ratio, least, most in figures
    ]
    table = html_table(("items", "default us", "tuned us", "saved", "between loads"), rows)
    return f"{dropped}{table}<p>Scores differ by {check.difference:.1e} at most.</p>"


def _stores(trials: Sequence[StoreTrial]) -> str:
    """The whole model with other item stores."""
    rows = [
        [f"{one.layout}, {one.materialize}", " / ".join(f"{1 - ratio:+.1%}" for ratio in one.ratios), one.error] for one in trials
    ]
    return html_table(("store", "saved", ""), rows)


def _table(learned: Sequence[Learned]) -> str:
    rows = []
    for one in learned:
        saved = f"{1 - mean_ratio(one.seconds, one.default_seconds):.1%}" if one.tuned else "default kept"
        times = [" / ".join(f"{second * 1e6:.1f}" for second in seconds) for seconds in (one.default_seconds, one.seconds)]
        cells = [one.task.name, f"{one.task.share:.0%}", str(one.trials), times[0], times[1] if one.tuned else "", saved]
        rows.append(cells)
    return html_table(("kernel", "share", "trials", "before", "after", "saved"), rows)


def _bars(learned: Sequence[Learned], session: Session) -> str:
    """Two bars for each kernel and batch size: the default's time, and the tuned one's in parts of it."""
    parts, top, label = [], 6, 260
    for one in learned:
        seconds = one.seconds if one.tuned else one.default_seconds
        for size, before, after in zip(session.batch_sizes, one.default_seconds, seconds, strict=False):
            length = WIDTH * min(2.0, after / before) / 2
            parts.append(f'<text x="0" y="{top + 12}" font-size="12">{escape(one.task.name)} at {size}</text>')
            parts.append(f'<rect x="{label}" y="{top}" width="{WIDTH / 2:.1f}" height="7" fill="{BEFORE}"/>')
            parts.append(f'<rect x="{label}" y="{top + 7}" width="{length:.1f}" height="7" fill="{AFTER}"/>')
            parts.append(f'<text x="{label + WIDTH / 2 + 8:.0f}" y="{top + 12}" font-size="12">{after / before:.3f}</text>')
            top += 22
    return svg(label + WIDTH // 2 + 70, top + 6, parts)


def _line(ratios: Sequence[float]) -> str:
    """The best ratio over the trials, a step for each; the axis goes from the least to 1."""
    low = min(0.9, *ratios)

    def place(trial: float, ratio: float) -> str:
        return f"{MARGIN + WIDTH * trial / len(ratios):.1f},{10 + HEIGHT * (1 - ratio) / (1 - low):.1f}"

    points = [place(0, 1.0)]
    for k, ratio in enumerate(ratios):
        points += [place(k, ratio), place(k + 1, ratio)]
    bottom = 10 + HEIGHT
    return svg(
        WIDTH + 2 * MARGIN,
        HEIGHT + 40,
        [
            f'<path d="M{MARGIN} 10V{bottom}H{MARGIN + WIDTH}" fill="none" stroke="#999"/>',
            f'<text x="0" y="16" font-size="12">1.00</text><text x="0" y="{bottom}" font-size="12">{low:.2f}</text>',
            f'<text x="{MARGIN}" y="{bottom + 18}" font-size="12">0</text>',
            f'<text x="{MARGIN + WIDTH - 20}" y="{bottom + 18}" font-size="12">{len(ratios)}</text>',
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{AFTER}" stroke-width="2"/>',
        ],
    )
