#!/usr/bin/env python3
"""Time `engine.rank` on a workload in files: Arrow columns in, scores out, after the scores were checked.

FOLDER holds fg.json, model.onnx, tables.safetensors, user.arrow, items.arrow (its int32 column `request` is the row of user.arrow) and
scores.npy (requests, items). The requests are scored in turn, so that one is not hot in the caches when it comes again.

    python scripts/bench_rank.py FOLDER --threads 1
    python scripts/bench_rank.py FOLDER --artifact DIR --json result.json      (compiles into DIR once)

To compare with another engine, run it in the same minutes, in turn: other work on the machine changes every figure.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import json
import os
import pathlib
import platform
import sys
import tempfile
import time
from importlib import metadata
from typing import Any

import numpy as np
import pyarrow as pa

import tvm_rank

LARGEST_DIFFERENCE = 1e-5
WARM_UP = 2  # turns over all requests before times count


def main() -> int:
    """Compile or load, check, measure, print; 1 when a score differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--artifact", type=pathlib.Path, help="compile into this folder, or use the artifact that is there")
    parser.add_argument("--threads", type=int, default=1, help="threads of the engine (default 1)")
    parser.add_argument("--requests", type=int, default=16, help="how many requests are scored in turn (default 16)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round (default 1)")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = args.artifact or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "artifact"
        result = {"conditions": conditions(args.threads), **compiled(args.folder, folder)}
        started = time.perf_counter()
        engine = tvm_rank.load(folder, threads=args.threads)
        result["load_s"] = round(time.perf_counter() - started, 3)
        requests = read_requests(args.folder, args.requests)
        result["items"] = len(requests[0][1])
        result["largest_difference"] = difference(engine, requests, np.load(args.folder / "scores.npy"))
        print(json.dumps(result, indent=1))
        if result["largest_difference"] > LARGEST_DIFFERENCE:
            print(f"FAILED: a score differs by more than {LARGEST_DIFFERENCE}", file=sys.stderr)
            return 1
        result["rounds"] = [one_round(engine, requests, args.seconds) for _ in range(args.rounds)]
        result["kernels_us"] = by_kernel(engine, requests)
    show(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def conditions(threads: int) -> dict[str, Any]:
    """What a figure depends on besides the code."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    names = ("apache-tvm", "numpy", "pyarrow")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": threads,
        "load_average": os.getloadavg()[0],
        "date": datetime.date.today().isoformat(),
        "tvm_rank": tvm_rank.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
    }


def compiled(folder: pathlib.Path, artifact: pathlib.Path) -> dict[str, Any]:
    """Compile unless the artifact is there; the times in seconds."""
    if artifact.exists():
        return {}
    started = time.perf_counter()
    made = tvm_rank.compile(features=folder / "fg.json", model=folder / "model.onnx", tables=folder / "tables.safetensors")
    seconds = time.perf_counter() - started
    made.save(artifact)
    return {"compile_s": round(seconds, 2), "save_s": round(time.perf_counter() - started - seconds, 2)}


def read_requests(folder: pathlib.Path, count: int) -> list[tuple[pa.Table, pa.Table]]:
    """(user row, items) of the first requests."""
    user = pa.ipc.open_file(pa.memory_map(str(folder / "user.arrow"))).read_all()
    items = pa.ipc.open_file(pa.memory_map(str(folder / "items.arrow"))).read_all()
    each = len(items) // len(user)
    return [(user.slice(r, 1).combine_chunks(), items.slice(r * each, each).combine_chunks()) for r in range(min(count, len(user)))]


def difference(engine: Any, requests: list, scores: np.ndarray) -> float:
    """The largest difference to the expected scores."""
    got = [next(iter(engine.rank(user=user, items=items).values())).reshape(-1) for user, items in requests]
    return float(max(np.abs(g - want).max() for g, want in zip(got, scores, strict=False)))


def one_round(engine: Any, requests: list, seconds: float) -> dict[str, float]:
    """Quantiles of the time of a request, in microseconds."""
    for _ in range(WARM_UP):
        for user, items in requests:
            engine.rank(user=user, items=items)
    times, end, k = [], time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        user, items = requests[k % len(requests)]
        started = time.perf_counter()
        engine.rank(user=user, items=items)
        times.append(time.perf_counter() - started)
        k += 1
    quantiles = {"min": 0, "p50": 50, "p90": 90, "p99": 99}
    return {name: round(float(np.percentile(times, q)) * 1e6, 1) for name, q in quantiles.items()} | {"requests": len(times)}


def by_kernel(engine: Any, requests: list) -> dict[str, float]:
    """Median time of each kernel, in microseconds, by the virtual machine's instrument hook."""
    import tvm_ffi

    times: dict[str, list[float]] = collections.defaultdict(list)
    started = [0.0]

    def hook(_function: Any, name: str, before: bool, *_rest: Any) -> int:
        if before:
            started[0] = time.perf_counter()
        else:
            times[str(name)].append(time.perf_counter() - started[0])
        return 0

    with engine._machine() as machine:
        machine.module["set_instrument"](tvm_ffi.convert(hook))
    for _ in range(10):
        for user, items in requests:
            engine.rank(user=user, items=items)
    return {name: round(float(np.median(t)) * 1e6, 1) for name, t in times.items() if not name.startswith("vm.builtin")}


def show(result: dict[str, Any]) -> None:
    """Print the rounds and the kernels."""
    print(f"{result['items']} items, {result['conditions']['threads']} thread(s), microseconds a request")
    for entry in result["rounds"]:
        print("  " + "   ".join(f"{name} {value}" for name, value in entry.items()))
    best = min(entry["p50"] for entry in result["rounds"])
    print(f"median of the best round: {best / 1e3:.3f} ms")
    for name, value in sorted(result["kernels_us"].items(), key=lambda pair: -pair[1]):
        print(f"  {name:28s} {value:9.1f} us")


if __name__ == "__main__":
    sys.exit(main())
