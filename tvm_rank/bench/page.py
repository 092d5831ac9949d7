"""The report as one page that needs no other file."""

from __future__ import annotations

from html import escape

from tvm_rank.bench.conditions import described
from tvm_rank.bench.plots import against_plot, roofline_plot, split_plot, times_plot
from tvm_rank.bench.results import Results, threads_text
from tvm_rank.bench.text import SPLIT, TIMES, WORK, ceilings_lines, split_rows, times_rows, work_rows, workloads_of
from tvm_rank.web_page import html_table, page


def results_html(results: Results) -> str:
    """Conditions and ceilings; for each workload tables and plots; what was not run."""
    parts = [f"<p>{escape(line)}</p>" for line in [*described(dict(results.conditions)), *ceilings_lines(results)]]
    if not results.finished:
        parts.append("<p><b>This run was not finished.</b></p>")
    for name, measured in workloads_of(results).items():
        parts += [
            f"<h2>{escape(name)}</h2>",
            html_table(TIMES, times_rows(measured)),
            "<h3>Time of a request</h3>",
            times_plot(measured),
        ]
        parts += ["<h3>Next to each other</h3>", against_plot(measured)]
        if rows := split_rows(measured, results):
            parts += ["<h3>Where the time goes, microseconds</h3>", html_table(SPLIT, rows), split_plot(measured)]
        if rows := work_rows(measured, results):
            parts += ["<h3>What a request asks for, and the machine's ceilings</h3>", html_table(WORK, rows)]
            threads = sorted({one.threads for one in measured if str(one.threads) in results.ceilings})
            parts += [f"<h3>Roofline, {threads_text(count)}</h3>" + roofline_plot(measured, results, count) for count in threads]
        notes = {one.name: one.about for one in measured}
        parts += [f"<p>{escape(contestant)}: {escape(about)}</p>" for contestant, about in notes.items()]
    parts += [f"<p>Not run: {escape(one.workload)}, {escape(one.contestant)}: {escape(one.why)}</p>" for one in results.not_run]
    return page("Benchmarks", "Benchmarks of ranking models", parts)
