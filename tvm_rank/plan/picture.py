"""A plan as a picture: boxes in the order of the data, coloured by side (SVG)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tvm_rank.cli.text_table import size_text
from tvm_rank.plan.steps import Plan, Step
from tvm_rank.plan.text import flop_text, rows_text

COLOURS = {"constant": "#d9d9d9", "request": "#9ecae1", "item": "#a1d99b", "crossed": "#fdae6b"}
NO_FEATURES = ("rank.dense", "rank.pair_layers", "rank.pair_pool")
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 250, 58, 70, 18, 24  # of a box, between boxes, around all; pixels


@dataclass(frozen=True)
class _Box:
    title: str
    side: str
    lines: tuple[str, ...]
    inputs: frozenset[int]
    weight: float  # its part of all FLOPs


def plan_svg(plan: Plan, requests: int, items: int) -> str:
    """Both graphs, one below the other, for so many rows. Features that share a side are one box."""
    parts, top, right = [], MARGIN, 0
    for title, steps in (("before the passes", plan.before), ("after the passes", plan.after)):
        boxes = _boxes(steps, requests, items)
        drawn, width, height = _draw(boxes, top + 26)
        flops = sum(step.flops.at(requests, items) for step in steps)
        heading = f"{title}: {flop_text(flops)}FLOP, R = {requests}, N = {items}"
        parts.append(f'<text x="{MARGIN}" y="{top + 12}" font-size="15" font-weight="bold">{escape(heading)}</text>')
        parts += drawn
        top, right = top + 26 + height + 2 * MARGIN, max(right, width)
    for k, (side, colour) in enumerate(COLOURS.items()):
        parts.append(f'<rect x="{MARGIN + 110 * k}" y="{top}" width="14" height="14" fill="{colour}" stroke="#555"/>')
        parts.append(f'<text x="{MARGIN + 110 * k + 20}" y="{top + 12}" font-size="12">{side}</text>')
    size = f'width="{max(right, 480) + MARGIN}" height="{top + 14 + MARGIN}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"


def _boxes(steps: Sequence[Step], requests: int, items: int) -> list[_Box]:
    """One box for each step, and one for all feature operators and lookups of a side."""
    groups: dict[object, list[int]] = {}
    for number, step in enumerate(steps):
        is_feature = step.operator.startswith("rank.") and step.operator not in NO_FEATURES
        groups.setdefault(("features", step.side) if is_feature else number, []).append(number)
    place = {number: k for k, members in enumerate(groups.values()) for number in members}
    everything = sum(step.flops.at(requests, items) for step in steps) or 1
    boxes = []
    for k, members in enumerate(groups.values()):
        own = [steps[number] for number in members]
        flops = sum(step.flops.at(requests, items) for step in own)
        moved = sum(step.bytes.at(requests, items) for step in own)
        features = sum(step.operator not in ("rank.lookup", "rank.first_id") for step in own)
        title = own[0].name if len(own) == 1 else f"{features} features and lookups"
        lines = (f"{own[0].operator}, rows {rows_text(own[0].rows)}", f"{flop_text(flops)}FLOP, {size_text(moved)}")
        inputs = frozenset(place[read] for step in own for read in step.inputs) - {k}
        boxes.append(_Box(title, own[0].side, lines, inputs, flops / everything))
    return boxes


def _draw(boxes: Sequence[_Box], top: int) -> tuple[list[str], int, int]:
    """(elements, width, height): a box stands right of all that it reads."""
    depth: list[int] = []
    for box in boxes:
        depth.append(max((depth[k] + 1 for k in box.inputs if k < len(depth)), default=0))
    used: dict[int, int] = {}
    corners = []
    for column in depth:
        row = used.get(column, 0)
        used[column] = row + 1
        corners.append((MARGIN + column * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y)))
    parts = []
    for box, (x, y) in zip(boxes, corners, strict=True):
        for k in sorted(box.inputs):
            a, b = corners[k]
            start, end, middle = a + WIDTH, y + HEIGHT // 2, (a + WIDTH + x) // 2
            path = f"M{start},{b + HEIGHT // 2} C{middle},{b + HEIGHT // 2} {middle},{end} {x},{end}"
            parts.append(f'<path d="{path}" fill="none" stroke="#777"/>')
    for box, (x, y) in zip(boxes, corners, strict=True):
        stroke = 1 + 4 * box.weight
        fill = COLOURS.get(box.side, "white")
        parts.append(
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{fill}" stroke="#333" stroke-width="{stroke:.1f}"/>'
        )
        for k, line in enumerate((box.title, *box.lines)):
            weight = ' font-weight="bold"' if k == 0 else ""
            parts.append(f'<text x="{x + 8}" y="{y + 17 + 16 * k}" font-size="12"{weight}>{escape(line[:38])}</text>')
    return parts, max(x for x, _ in corners) + WIDTH, max(used.values()) * (HEIGHT + GAP_Y) if used else 0
