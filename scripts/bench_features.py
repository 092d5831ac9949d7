#!/usr/bin/env python3
"""ns per value of every compiled feature type, on 1 and 2 threads, next to the NumPy and pyarrow way of doing the same.

    python scripts/bench_features.py [--rows N] [--rounds N] [--threads N ...] [--only TEXT] [--json FILE]

The results of both ways are compared first, value by value; a difference ends the run with status 1 before anything is timed. A value is
what goes in: an element of a row of several, else a row. A round is a call of the program, from Arrow columns to NumPy results, and one
of the NumPy way, in turn; the best of all rounds is given, because other work on the machine only makes rounds longer. Host stages
(regular expressions, text_normalizer, tokenizers) are calls of libraries, and are not here.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import threading
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from benching.workloads import Workload, workloads

import tvm_rank
from tvm_rank.output import FeatureOutput

TOLERANCE = 1e-5  # of numbers: sums in another order, functions of another library


def main() -> int:
    """Check, measure, print; 1 when a value differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="default 100000")
    parser.add_argument("--rounds", type=int, default=15, help="default 15")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument("--only", default="", metavar="TEXT", help="workloads whose name has this text")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here")
    args = parser.parse_args()
    conditions = conditions_of(args)
    print("\n".join(f"{name:10} {value}" for name, value in conditions.items()))
    header = "".join(f"{f'{threads} thread' + 's' * (threads > 1):>12}" for threads in args.threads)
    print(f"{'ns per value':28}{header}{'NumPy way':>12}{'times faster on ' + str(args.threads[0]):>22}")
    results: list[dict[str, Any]] = []
    for workload in workloads(args.rows, args.seed):
        if args.only in workload.name:
            results.append(measure(workload, args.threads, args.rounds))
            print_result(results[-1], args.threads)
    if args.json:
        args.json.write_text(json.dumps({"conditions": conditions, "results": results}, indent=1) + "\n", encoding="utf-8")
    return 1 if any("differs" in result for result in results) else 0


def conditions_of(args: argparse.Namespace) -> dict[str, str]:
    """What the figures depend on."""
    packages = ("apache-tvm", "numpy", "pyarrow")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": ", ".join(f"{name} {metadata.version(name)}" for name in packages) + f", Python {platform.python_version()}",
        "workload": f"{args.rows} rows, seed {args.seed}, best of {args.rounds} rounds",
    }


def cpu_name() -> str:
    """The processor as Linux names it."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())


def print_result(result: dict[str, Any], threads: list[int]) -> None:
    """One line of the table."""
    if "differs" in result:
        print(f"{result['name']:28}  {result['differs']}", flush=True)
        return
    ours = "".join(f"{result['ns'][str(count)]:12.1f}" for count in threads)
    print(
        f"{result['name']:28}{ours}{result['numpy_ns']:12.1f}{result['numpy_ns'] / result['ns'][str(threads[0])]:22.1f}", flush=True
    )


def measure(workload: Workload, threads: list[int], rounds: int) -> dict[str, Any]:
    """The figures of a workload, or what differs."""
    fg = {"features": [{"feature_name": "f", **workload.keys}]}
    programs = {count: tvm_rank.compile_features(fg, threads=count) for count in threads}
    columns = {name: workload.columns[name] for name in programs[threads[0]].fields}

    def plain() -> FeatureOutput:
        return workload.plain(columns)

    if problem := difference(programs[threads[0]](columns)["f"], plain()):
        return {"name": workload.name, "differs": problem}
    ns: dict[str, float] = {}
    baseline = [float("inf")]
    for count, program in programs.items():
        # a thread of its own: a pool of threads belongs to the thread that calls, and cannot grow
        run_in_thread(
            lambda count=count, program=program: ns.update({str(count): best(lambda: program(columns), plain, rounds, baseline)})
        )
    per_value = 1e9 / workload.values
    return {
        "name": workload.name,
        "ns": {count: seconds * per_value for count, seconds in ns.items()},
        "numpy_ns": baseline[0] * per_value,
    }


def best(call: Callable[[], Any], plain: Callable[[], Any], rounds: int, baseline: list[float]) -> float:
    """The seconds of the best call; `baseline[0]` becomes those of the best NumPy way."""
    call()
    shortest = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        middle = time.perf_counter()
        plain()
        shortest, baseline[0] = min(shortest, middle - start), min(baseline[0], time.perf_counter() - middle)
    return shortest


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
