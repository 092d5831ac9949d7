"""The tables for a document, with their conditions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from tvm_rank.bench.conditions import described
from tvm_rank.bench.results import ENGINE, Measurement, Results
from tvm_rank.bench.text import SPLIT, TIMES, WORK, ceilings_lines, split_rows, times_rows, work_rows, workloads_of

HEAD = """# Benchmarks

Written by `tvm-rank bench`; do not edit. How it measures, what the columns mean and what the baselines do: [bench.md](bench.md)."""


def results_markdown(results: Results) -> str:
    """A whole document."""
    parts = [
        HEAD,
        "## Conditions",
        "\n".join(f"- {line}" for line in [*described(dict(results.conditions)), *ceilings_lines(results)]),
    ]
    parts.append("\n".join(f"- {line}" for line in _state(results)))
    for name, measured in workloads_of(results).items():
        parts += [f"## {name}", _table(TIMES, times_rows(measured))]
        if rows := split_rows(measured, results):
            parts += ["Microseconds of a request in", _table(SPLIT, rows)]
        if rows := work_rows(measured, results):
            parts += ["What a request asks for, and how near that is to the ceilings:", _table(WORK, rows)]
        parts.append("\n".join(f"- `{contestant}`: {about}" for contestant, about in _notes(measured).items()))
    if results.not_run:
        parts += ["## Not run", "\n".join(f"- {one.workload}, {one.contestant}: {one.why}" for one in results.not_run)]
    parts += ["## The command", _command(results)]
    return "\n\n".join(parts) + "\n"


def _state(results: Results) -> list[str]:
    """How it was measured, and how quiet the machine was."""
    options, measured = results.options, results.measurements
    lines = [
        f"{options['rounds']} rounds of {options['seconds']:g} s for each contestant, in turns; {options['requests']} different requests",
    ]
    if measured:
        foreign, steal = (sum(getattr(one, name) for one in measured) / len(measured) for name in ("foreign", "steal"))
        spread = sorted(max(one.rounds_us) / min(one.rounds_us) for one in measured)
        lines.append(
            f"others used {foreign:.2f} cores meanwhile, the hypervisor took {steal:.2f}; medians of the rounds of one contestant differ by "
            f"{spread[len(spread) // 2] - 1:.0%} (half of the measurements by less), at most {spread[-1] - 1:.0%}"
        )
    return lines


def _notes(measured: Sequence[Measurement]) -> dict[str, str]:
    """What each contestant is, with its versions."""
    notes = {}
    for one in measured:
        versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
        notes[one.name] = one.about if one.contestant == ENGINE else f"{one.about} ({versions})"
    return notes


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _command(results: Results) -> str:
    """The command that measures the same again."""
    words = []
    for name, value in results.options.items():
        if value in (None, [], ()):
            continue
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        words.append(f"--{name.replace('_', '-')} {shlex.quote(text)}")
    return f"    tvm-rank bench {' '.join(words)} --markdown docs/benchmarks.md"
