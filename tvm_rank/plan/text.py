"""A plan as text."""

from __future__ import annotations

from collections.abc import Sequence

from tvm_rank.cli.text_table import size_text, text_table
from tvm_rank.plan.steps import Amount, Plan, Step, total

HEADER = ("", "step", "operator", "side", "rows", "FLOP", "bytes", "reads")


def plan_text(plan: Plan, requests: int, items: int) -> str:
    """Both graphs as tables, with their sums, for so many rows."""
    parts = [
        _part("before the passes", plan.before, requests, items),
        _part("after the passes", plan.after, requests, items),
        _summary(plan, requests, items),
    ]
    return "\n\n".join(parts)


def rows_text(rows: Amount) -> str:
    """R, N, or a number."""
    terms = [(rows.requests, "R"), (rows.items, "N")]
    parts = [name if count == 1 else f"{count} {name}" for count, name in terms if count]
    return " + ".join([*parts, *([str(rows.constant)] if rows.constant or not parts else [])])


def flop_text(count: int) -> str:
    """A number of operations for a reader: 512, 3.1 k, 20.4 M, 1.1 G."""
    size = float(count)
    for unit in ("", " k", " M"):
        if size < 1000:
            return f"{size:.0f}" if not unit else f"{size:.1f}{unit}"
        size /= 1000
    return f"{size:.1f} G"


def _part(title: str, steps: Sequence[Step], requests: int, items: int) -> str:
    rows = [
        [
            str(number),
            step.name,
            step.operator,
            step.side,
            rows_text(step.rows),
            flop_text(step.flops.at(requests, items)),
            size_text(step.bytes.at(requests, items)),
            " ".join(map(str, step.inputs)),
        ]
        for number, step in enumerate(steps)
    ]
    return f"{title}\n" + text_table(HEADER, rows)


def _summary(plan: Plan, requests: int, items: int) -> str:
    rows = []
    for side in ("constant", "request", "item", "crossed", "all"):
        cells = [side]
        for steps in (plan.before, plan.after):
            chosen = [step for step in steps if side in (step.side, "all")]
            flops, moved = total(chosen, requests, items)
            cells += [flop_text(flops), size_text(moved)]
        rows.append(cells)
    title = f"R = {requests} request{'s' if requests != 1 else ''}, N = {items} items"
    return f"{title}\n" + text_table(["side", "FLOP before", "bytes before", "FLOP after", "bytes after"], rows)
