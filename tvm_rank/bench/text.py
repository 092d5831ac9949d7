"""Results as tables of text, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tvm_rank.bench.compare import Comparison
from tvm_rank.bench.conditions import described
from tvm_rank.bench.machine import roof
from tvm_rank.bench.results import ALL, ENGINE, Measurement, Results, threads_text
from tvm_rank.cli.text_table import Cell, size_text, text_table
from tvm_rank.plan.text import flop_text

TIMES = (
    "items",
    "threads",
    "contestant",
    "p50 us",
    "p90 us",
    "p99 us",
    "requests/s",
    "items/s",
    "core ms",
    "times ours",
    "differs by",
)
STAGES = {"features": "features and lookups", "dense": "dense layers", "other": "other kernels", "outside": "outside of kernels"}
SPLIT = ("items", "threads", "contestant", *STAGES.values(), "lookups alone", "lookups at least")
WORK = ("items", "threads", "contestant", "FLOP", "bytes", "table rows", "GFLOP/s", "of the roof", "least us", "of the time")


def workloads_of(results: Results) -> dict[str, list[Measurement]]:
    """The measurements of each workload."""
    found: dict[str, list[Measurement]] = {}
    for one in results.measurements:
        found.setdefault(one.workload, []).append(one)
    return found


def results_text(results: Results) -> str:
    """Conditions, ceilings, and for each workload the times, the kernels and the work."""
    parts = ["\n".join(described(dict(results.conditions))), *ceilings_lines(results)]
    for name, measured in workloads_of(results).items():
        parts.append(f"{name}\n" + text_table(TIMES, times_rows(measured)))
        if rows := split_rows(measured, results):
            parts.append("  microseconds of a request in\n" + text_table(SPLIT, rows))
        if rows := work_rows(measured, results):
            parts.append("  what a request asks for, and the machine's ceilings\n" + text_table(WORK, rows))
    parts += [f"not run: {one.workload}, {one.contestant}: {one.why}" for one in results.not_run]
    return "\n\n".join(parts)


def ceilings_lines(results: Results) -> Iterator[str]:
    """What the machine can do, a line for each number of threads."""
    for threads, found in results.ceilings.items():
        yield (
            f"ceilings of {threads_text(int(threads))}: {found['gflops']:.0f} GFLOP/s, {found['copy_gb_s']:.1f} GB/s copying (read and "
            f"written), {found['row_ns']:.1f} ns for a row of 64 bytes read at random"
        )


def times_rows(measured: Sequence[Measurement]) -> list[list[Cell]]:
    """A row for each measurement; `times ours` is its median over that of the first artifact on the same machine."""
    own_ones = [one for one in reversed(measured) if one.contestant == ENGINE and one.part == ALL]
    first = {(one.items, one.threads, one.machine): one for one in own_ones}
    rows: list[list[Cell]] = []
    for one in measured:
        own = first.get((one.items, one.threads, one.machine))
        times = f"{one.p50_us / own.p50_us:.2f}" if own else ""
        quantiles = [f"{value:,.0f}" for value in (one.p50_us, one.p90_us, one.p99_us, one.requests_per_s, one.items_per_s)]
        rows.append([str(one.items), str(one.threads), one.name, *quantiles, f"{one.core_ms:.2f}", times, f"{one.difference:.0e}"])
    return rows


def split_rows(measured: Sequence[Measurement], results: Results) -> list[list[Cell]]:
    """Where the time of the engine goes, what of it the lookups take, and what table rows cost at the ceiling of random rows."""
    rows: list[list[Cell]] = []
    for one in measured:
        if one.kernels:
            figures = results.ceilings.get(str(one.threads))
            least = f"{one.work.table_rows * figures['row_ns'] / 1e3:,.0f}" if figures else ""
            alone = sum(kernel.lookups_us for kernel in one.kernels)
            split = [*(f"{us:,.0f}" for us in one.split().values()), f"{alone:,.0f}" if alone else "", least]
            rows.append([str(one.items), str(one.threads), one.name, *split])
    return rows


def work_rows(measured: Sequence[Measurement], results: Results) -> list[list[Cell]]:
    """FLOPs, bytes and table rows of a request, and how near the engine is to what the machine allows."""
    rows: list[list[Cell]] = []
    for one in measured:
        figures = results.ceilings.get(str(one.threads))
        if not one.kernels or not figures:
            continue
        moved = bytes_of(one)
        rate, least = one.work.flops / one.p50_us / 1e3, least_us(one, results)
        share = rate / roof(figures, one.work.flops / moved) if one.work.flops else 0.0
        rows.append(
            [str(one.items), str(one.threads), one.name, flop_text(one.work.flops), size_text(int(moved)), f"{one.work.table_rows:,.0f}",
             f"{rate:.1f}", f"{share:.0%}", f"{least:,.0f}", f"{least / one.p50_us:.0%}"]
        )  # fmt: skip
    return rows


def bytes_of(one: Measurement) -> float:
    """Bytes of a request: of the kernels' arguments and results, of the table rows, of the columns."""
    return sum(kernel.bytes for kernel in one.kernels) + one.work.table_bytes + one.work.column_bytes


def least_us(one: Measurement, results: Results) -> float:
    """Microseconds that no engine avoids on this machine: the operations at its rate, the table rows read at random, the columns once."""
    figures = results.ceilings[str(one.threads)]
    rows_us = one.work.table_rows * figures["row_ns"] / 1e3
    return one.work.flops / figures["gflops"] / 1e3 + rows_us + one.work.column_bytes / figures["copy_gb_s"] / 1e3


def comparison_text(found: Comparison, old: str) -> str:
    """A table of what both runs measured, and what is to be said of it."""
    rows: list[list[Cell]] = []
    for one in found.changes:
        new = one.new
        times = [f"{value:,.0f}" for value in (one.old.p50_us, new.p50_us)]
        rows.append(
            [
                new.workload,
                str(new.items),
                str(new.threads),
                new.name,
                *times,
                f"{one.ratio:.3f}",
                f"{one.low:.3f} to {one.high:.3f}",
                one.verdict,
            ]
        )
    header = ("workload", "items", "threads", "contestant", "before us", "now us", "ratio", "99 % of it within", "")
    lines = [f"compared with {old}", *(f"  warning: {one}" for one in found.warnings), text_table(header, rows)]
    lines += [f"  not measured any more: {one}" for one in found.missing]
    lines += [f"  not measured before: {one}" for one in found.added]
    count = len(found.slower)
    plural = "s" if count != 1 else ""
    lines.append(
        f"  {count or 'no'} measurement{plural if count else ''} of tvm-rank {'are' if count > 1 else 'is'} slower beyond the noise"
        + (f"; of {len(found.open)} nothing can be said" if found.open else "")
    )
    return "\n".join(lines)
