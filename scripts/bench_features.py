#!/usr/bin/env python3
"""ns per value of every compiled feature type, on 1 and 2 threads, next to NumPy, pyarrow and polars doing the same.

    python scripts/bench_features.py [--rows N] [--rounds N] [--threads N ...] [--only TEXT] [--json FILE] [--markdown FILE]

The results of all ways are compared first, value by value; a difference ends the run with status 1 before anything is timed. A value is
what goes in: an element of a row of several, else a row. A round is a call of the program on the first number of threads, from Arrow
columns to NumPy results, and one of each other way, on one thread, in turn; then rounds on other numbers of threads. Medians are given;
"times faster" is the median of what the rounds say, against the other way that is best. "copy" is the time of moving the bytes that go
in and come out, the floor of any way. polars is left out where it is not installed (`pip install 'tvm-rank[bench]'`), and so are host
stages (regular expressions, text_normalizer, tokenizers), which are calls of libraries.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import numpy as np
from benching import polars_way
from benching.workloads import Workload, workloads

import tvm_rank
from tvm_rank.output import FeatureOutput

TOLERANCE = 1e-5  # of numbers: sums in another order, functions of another library


def main() -> int:
    """Check, measure, print; 1 when a value differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="default 100000")
    parser.add_argument("--rounds", type=int, default=25, help="default 25")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument("--only", default="", metavar="TEXT", help="workloads whose name has this text")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument(
        "--markdown", type=pathlib.Path, metavar="FILE", help="also write conditions and table here, for docs/feature_speed.md"
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here")
    args = parser.parse_args()
    conditions = conditions_of(args)
    print("\n".join(f"{name:10} {value}" for name, value in conditions.items()))
    print(line("ns per value", [f"{n} thread{'s' * (n > 1)}" for n in args.threads], *HEADER), flush=True)
    results: list[dict[str, Any]] = []
    for workload in workloads(args.rows, args.seed):
        if args.only in workload.name:
            results.append(measure(workload, args.threads, args.rounds))
            print(line(*cells(results[-1])), flush=True)
    if args.json:
        args.json.write_text(json.dumps({"conditions": conditions, "results": results}, indent=1) + "\n", encoding="utf-8")
    if args.markdown:
        args.markdown.write_text(markdown(conditions, results, args.threads), encoding="utf-8")
    return 1 if any("differs" in result for result in results) else 0


HEADER = ("best other way", "times faster", "copy")


def line(name: str, ours: list[str], *others: str) -> str:
    """A line of the table."""
    return f"{name:28}" + "".join(f"{cell:>11}" for cell in ours) + "".join(f"{cell:>16}" for cell in others)


def cells(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """What stands in the line of a result."""
    if "differs" in result:
        return result["name"], [], result["differs"]
    other = f"{result['others'][result['best']]:.1f} {result['best']}"
    return result["name"], [f"{ns:.1f}" for ns in result["ns"].values()], other, f"{result['times']:.1f}", f"{result['copy']:.2f}"


def markdown(conditions: Mapping[str, str], results: list[dict[str, Any]], threads: list[int]) -> str:
    """The conditions and the table for a document."""
    head = ["ns per value", *(f"{n} thread{'s' * (n > 1)}" for n in threads), *HEADER]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    rows += [[name, *ours, *others] for name, ours, *others in map(cells, results)]
    said = "\n".join(f"- {name}: {value}" for name, value in conditions.items())
    return said + "\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def conditions_of(args: argparse.Namespace) -> dict[str, str]:
    """What the figures depend on."""
    packages = ["apache-tvm", "numpy", "pyarrow"] + ["polars"] * polars_way.IS_THERE
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": ", ".join(f"{name} {metadata.version(name)}" for name in packages)
        + f", Python {platform.python_version()}"
        + ("" if polars_way.IS_THERE else "; polars is not installed, so its ways are left out"),
        "workload": f"{args.rows} rows, seed {args.seed}, a tenth of the numbers null, medians of {args.rounds} rounds",
    }


def cpu_name() -> str:
    """The processor as Linux names it."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())


def measure(workload: Workload, threads: list[int], rounds: int) -> dict[str, Any]:
    """The figures of a workload, or what differs."""
    fg = {"features": [{"feature_name": "f", **workload.keys}]}
    programs = {count: tvm_rank.compile_features(fg, threads=count) for count in threads}
    columns = {name: workload.columns[name] for name in programs[threads[0]].fields}
    made = programs[threads[0]](columns)["f"]
    for name, way in workload.ways.items():
        if problem := difference(made, way(columns)):
            return {"name": workload.name, "differs": f"{name}: {problem}"}
    moved = sum(column.get_total_buffer_size() for column in columns.values()) + size_of(made)
    source = np.zeros(max(1, moved // 2), np.uint8)  # half is read, half is written
    target = np.empty_like(source)
    ways = {name: lambda way=way: way(columns) for name, way in workload.ways.items()}
    ways["copy"] = lambda: np.copyto(target, source)
    taken: dict[str, list[float]] = {}
    for k, (count, program) in enumerate(programs.items()):
        calls = {str(count): lambda program=program: program(columns)} | (ways if k == 0 else {})
        # a thread of its own: a pool of threads belongs to the thread that calls, and cannot grow
        run_in_thread(lambda calls=calls: taken.update(times(calls, rounds)))
    others = {name: statistics.median(taken[name]) for name in workload.ways}
    best = min(others, key=others.__getitem__)
    per_value = 1e9 / workload.values
    return {
        "name": workload.name,
        "ns": {str(count): statistics.median(taken[str(count)]) * per_value for count in threads},
        "others": {name: seconds * per_value for name, seconds in others.items()},
        "best": best,
        "times": statistics.median(o / t for t, o in zip(taken[str(threads[0])], taken[best], strict=True)),
        "copy": statistics.median(taken["copy"]) * per_value,
    }


def size_of(output: FeatureOutput) -> int:
    """Bytes of a result."""
    return sum(array.nbytes for array in (output.values, output.lengths, output.dense) if array is not None)


def times(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """The seconds of each call in each round, after one that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_:
                taken[name].append(time.perf_counter() - start)
    return taken


def run_in_thread(target: Callable[[], None]) -> None:
    """Run to the end in a new thread."""
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()


def difference(got: FeatureOutput, wanted: FeatureOutput) -> str:
    """What is not the same; "" when nothing is."""
    if wanted.dense is not None:
        same = np.isclose(got.dense, wanted.dense, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        return "" if same.all() else f"{(~same).sum()} of {same.size} numbers differ"
    if not np.array_equal(got.lengths, wanted.lengths):
        return "the lengths differ"
    return "" if np.array_equal(got.values, wanted.values) else f"{(got.values != wanted.values).sum()} ids differ"


if __name__ == "__main__":
    raise SystemExit(main())
