"""The plots of a benchmark, as SVG: times over batch sizes, where the time goes, next to others, and the roofline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from tvm_rank.bench.machine import roof
from tvm_rank.bench.results import ENGINE, Measurement, Results, threads_text
from tvm_rank.bench.text import STAGES, bytes_of
from tvm_rank.web_page import svg

WIDTH, HEIGHT = 520, 260  # of a plot, pixels
LEFT, TOP, BELOW, RIGHT = 64, 14, 40, 280  # room around it, for axes and the key
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")
STAGE_COLOURS = dict(zip(STAGES, ("#74c476", "#6baed6", "#fdae6b", "#d9d9d9"), strict=True))
BAR, LABEL = 18, 330  # height of a bar, room for its name

Scale = Callable[[float], float]


def times_plot(measured: Sequence[Measurement]) -> str:
    """Median time over items of a request, a line for each contestant and number of threads, up to the 99th percentile in a thin one."""
    lines: dict[str, list[Measurement]] = {}
    for one in measured:
        lines.setdefault(f"{one.name}, {threads_text(one.threads)}", []).append(one)
    x = _scale([one.items for one in measured], LEFT, LEFT + WIDTH)
    y = _scale([value for one in measured for value in (one.p50_us, one.p99_us)], TOP + HEIGHT, TOP)
    parts = _axes("items of a request", "us", x, y, sorted({one.items for one in measured}), _decades(measured))
    for k, (name, own) in enumerate(lines.items()):
        colour = COLOURS[k % len(COLOURS)]
        points = [(x(one.items), y(one.p50_us), y(one.p99_us)) for one in sorted(own, key=lambda one: one.items)]
        parts.append(
            f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b, _ in points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [
            f'<path d="M{a:.1f} {b:.1f}V{c:.1f}" stroke="{colour}"/><circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>'
            for a, b, c in points
        ]
        parts.append(_key(k, colour, name))
    return svg(LEFT + WIDTH + RIGHT, max(TOP + HEIGHT + BELOW, TOP + 20 * len(lines)), parts)


def split_plot(measured: Sequence[Measurement]) -> str:
    """A bar for each measurement of the engine, of its kernels by stage."""
    own = [one for one in measured if one.kernels]
    longest = max((sum(one.split().values()) for one in own), default=1.0)
    parts = []
    for k, (stage, name) in enumerate(STAGES.items()):
        parts.append(f'<rect x="{LABEL + 150 * k}" y="0" width="12" height="12" fill="{STAGE_COLOURS[stage]}"/>')
        parts.append(f'<text x="{LABEL + 150 * k + 16}" y="11" font-size="12">{name}</text>')
    for row, one in enumerate(own, start=1):
        top, at = row * (BAR + 6), float(LABEL)
        parts.append(_label(top, f"{one.items} items, {threads_text(one.threads)}, {one.name}"))
        for stage, us in one.split().items():
            length = WIDTH * us / longest
            parts.append(f'<rect x="{at:.1f}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{STAGE_COLOURS[stage]}"/>')
            at += length
        parts.append(f'<text x="{at + 6:.1f}" y="{top + 13}" font-size="12">{one.whole_us:,.0f} us</text>')
    return svg(LABEL + WIDTH + 100, (len(own) + 1) * (BAR + 6) + 10, parts)


def against_plot(measured: Sequence[Measurement]) -> str:
    """A bar for each measurement, as long as its median time is of the longest with as many items and threads."""
    groups: dict[tuple[int, int], list[Measurement]] = {}
    for one in measured:
        groups.setdefault((one.items, one.threads), []).append(one)
    parts, top = [], 0
    for (items, threads), group in groups.items():
        parts.append(f'<text x="0" y="{top + 13}" font-size="12" font-weight="bold">{items} items, {threads_text(threads)}</text>')
        longest = max(one.p50_us for one in group)
        for one in group:
            top += BAR + 4
            colour = COLOURS[0] if one.contestant == ENGINE else COLOURS[1]
            parts.append(_label(top, one.name))
            parts.append(f'<rect x="{LABEL}" y="{top}" width="{WIDTH * one.p50_us / longest:.1f}" height="{BAR}" fill="{colour}"/>')
            parts.append(
                f'<text x="{LABEL + WIDTH * one.p50_us / longest + 6:.1f}" y="{top + 13}" font-size="12">{one.p50_us:,.0f} us</text>'
            )
        top += 2 * BAR
    return svg(LABEL + WIDTH + 100, top, parts)


def roofline_plot(measured: Sequence[Measurement], results: Results, threads: int) -> str:
    """FLOP/s over FLOPs per byte: the machine's roof, each request and each of its dense kernels below it."""
    figures: Mapping[str, float] = results.ceilings[str(threads)]
    points = _roof_points([one for one in measured if one.kernels and one.threads == threads])
    ridge = figures["gflops"] / figures["copy_gb_s"]
    xs = [0.25, ridge * 4, *(intensity for _, _, intensity, _ in points)]
    x = _scale(xs, LEFT, LEFT + WIDTH)
    y = _scale([figures["gflops"] * 1.3, *(rate for *_, rate in points), roof(figures, min(xs))], TOP + HEIGHT, TOP)
    ticks = [10.0**k for k in range(-1, 4) if min(xs) <= 10.0**k <= max(xs)]
    rates = [10.0**k for k in range(-2, 6) if TOP <= y(10.0**k) <= TOP + HEIGHT]
    parts = _axes("FLOP per byte", "GFLOP/s", x, y, ticks, rates)
    corners = [(min(xs), roof(figures, min(xs))), (ridge, figures["gflops"]), (max(xs), figures["gflops"])]
    parts.append(
        f'<polyline points="{" ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in corners)}" fill="none" stroke="#333" stroke-width="2"/>'
    )
    names = list(dict.fromkeys(name for name, *_ in points))
    for name, request, intensity, rate in points:
        colour, size = COLOURS[names.index(name) % len(COLOURS)], 6 if request else 3
        parts.append(f'<circle cx="{x(intensity):.1f}" cy="{y(rate):.1f}" r="{size}" fill="{colour}" fill-opacity="0.7"/>')
    parts += [_key(k, COLOURS[k % len(COLOURS)], name) for k, name in enumerate(names)]
    return svg(LEFT + WIDTH + RIGHT, max(TOP + HEIGHT + BELOW, TOP + 20 * len(names)), parts)


def _roof_points(own: Sequence[Measurement]) -> list[tuple[str, bool, float, float]]:
    """(name, whether it is a whole request, FLOPs per byte, GFLOP/s)."""
    points = []
    for one in own:
        name = f"{one.items} items, {one.name}"
        if one.work.flops:
            points.append((name, True, one.work.flops / bytes_of(one), one.work.flops / one.p50_us / 1e3))
        points += [(name, False, k.flops / k.bytes, k.flops / k.us / 1e3) for k in one.kernels if k.flops and k.bytes and k.us]
    return points


def _scale(values: Sequence[float], start: float, end: float) -> Scale:
    """Logarithmic: the least value at `start`, the largest at `end`."""
    low, high = math.log(min(values)), math.log(max(values))
    return lambda value: start + (end - start) * (0.5 if high == low else (math.log(value) - low) / (high - low))


def _decades(measured: Sequence[Measurement]) -> list[float]:
    low, high = min(one.p50_us for one in measured), max(one.p99_us for one in measured)
    ticks = [mantissa * 10.0**k for k in range(8) for mantissa in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high]


def _axes(x_name: str, y_name: str, x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
    bottom = TOP + HEIGHT
    parts = [f'<path d="M{LEFT} {TOP}V{bottom}H{LEFT + WIDTH}" fill="none" stroke="#999"/>']
    for tick in x_ticks:
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 16}" font-size="12" text-anchor="middle">{tick:g}</text>')
    for tick in y_ticks:
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" font-size="12" text-anchor="end">{tick:,g}</text>')
        parts.append(f'<path d="M{LEFT} {y(tick):.1f}H{LEFT + WIDTH}" stroke="#eee"/>')
    parts.append(f'<text x="{LEFT + WIDTH / 2:.0f}" y="{bottom + 34}" font-size="12" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text x="{LEFT + 4}" y="{TOP + 2}" font-size="12">{escape(y_name)}</text>')
    return parts


def _key(number: int, colour: str, name: str) -> str:
    top, left = TOP + 20 * number, LEFT + WIDTH + 14
    box = f'<rect x="{left}" y="{top}" width="12" height="12" fill="{colour}"/>'
    return f'{box}<text x="{left + 18}" y="{top + 11}" font-size="12">{escape(name)}</text>'


def _label(top: int, name: str) -> str:
    return f'<text x="{LABEL - 8}" y="{top + 13}" font-size="12" text-anchor="end">{escape(name)}</text>'
