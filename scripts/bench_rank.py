#!/usr/bin/env python3
"""Time `engine.rank` on a workload in files: Arrow columns in, scores out, after the scores were checked.

FOLDER holds fg.json, model.onnx, tables.safetensors, user.arrow, items.arrow (its integer column `request` is the row of user.arrow) and
scores.npy (requests, items). The requests are scored in turn, so that one is not hot in the caches when it comes again. Scores that
differ from scores.npy by more than 1e-5 (--tolerance) end the run with status 1, before anything is timed.

    python scripts/bench_rank.py FOLDER --threads 1
    python scripts/bench_rank.py FOLDER --artifact DIR --json result.json      (compiles into DIR once)

Kernel times come from the virtual machine's instrument hook, in extra rounds. The floor is what no engine avoids: the multiplications of
the dense layers, and the table rows that the ids of a request lead to (values inside of one text are not counted apart).

To compare with another engine, run both in turn in the same minutes and on the same cores, a few times; other work on the machine
changes every figure:

    for k in 1 2 3; do taskset -c 1 python scripts/bench_rank.py FOLDER --artifact DIR; taskset -c 1 OTHER_BENCHMARK; done
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
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
import pyarrow.compute

import tvm_rank

LARGEST_DIFFERENCE = 1e-5
WARM_UP = 2  # turns over all requests before times count
FILES = ("fg.json", "model.onnx", "tables.safetensors", "user.arrow", "items.arrow", "scores.npy")

Request = tuple[pa.Table, pa.Table]


def main() -> int:
    """Compile or load, check, measure, print; 1 when a score differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--artifact", type=pathlib.Path, help="compile into this folder, or use the artifact that is there")
    parser.add_argument("--tables", choices=("mapped", "memory"), default="mapped", help="how the engine holds the tables")
    parser.add_argument("--threads", type=int, default=1, help="threads of the engine (default 1)")
    parser.add_argument("--requests", type=int, default=16, help="how many requests are scored in turn (default 16)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round (default 1)")
    parser.add_argument("--tolerance", type=float, default=LARGEST_DIFFERENCE, help="of scores (default 1e-5)")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = args.artifact or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "artifact"
        requests = read_requests(parser, args.folder, args.requests)
        result = {"conditions": conditions(args.threads), **compiled(args.folder, folder)}
        started = time.perf_counter()
        engine = tvm_rank.load(folder, threads=args.threads, tables=args.tables)
        result["load_s"] = round(time.perf_counter() - started, 3)
        result["target"] = engine.manifest.target
        result["items"] = len(requests[0][1])
        result["largest_difference"] = difference(engine, requests, np.load(args.folder / "scores.npy"))
        print(json.dumps(result, indent=1), flush=True)
        if result["largest_difference"] > args.tolerance:
            print(f"FAILED: a score differs by more than {args.tolerance}", file=sys.stderr)
            return 1
        result["rounds"] = [one_round(engine, requests, args.seconds) for _ in range(args.rounds)]
        result["kernels"] = by_kernel(folder, engine, requests)
        result["floor"] = floor(args.folder, engine, requests, result["kernels"])
        result["conditions"]["load_average_after"] = os.getloadavg()[0]
    show(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def conditions(threads: int) -> dict[str, Any]:
    """What a figure depends on besides the code."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    names = ("apache-tvm", "apache-tvm-ffi", "numpy", "pyarrow")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "usable_cores": sorted(os.sched_getaffinity(0)),
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


def read_requests(parser: argparse.ArgumentParser, folder: pathlib.Path, count: int) -> list[Request]:
    """(user row, items) of the first requests."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        parser.error(f"{folder}: has no {', '.join(missing)}; wanted are {', '.join(FILES)}")
    user, items = (pa.ipc.open_file(pa.memory_map(str(folder / name))).read_all() for name in ("user.arrow", "items.arrow"))
    of, columns = items.column("request").to_numpy(), items.drop_columns(["request"])
    return [
        (user.slice(r, 1).combine_chunks(), columns.filter(pa.array(of == r)).combine_chunks())
        for r in range(min(count, len(user)))
    ]


def difference(engine: Any, requests: list[Request], scores: np.ndarray) -> float:
    """The largest difference to the expected scores."""
    got = [next(iter(engine.rank(user=user, items=items).values())).reshape(-1) for user, items in requests]
    return float(max(np.abs(g - want).max() for g, want in zip(got, scores, strict=False)))


def one_round(engine: Any, requests: list[Request], seconds: float) -> dict[str, float]:
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


def by_kernel(artifact: pathlib.Path, engine: Any, requests: list[Request]) -> dict[str, dict[str, float]]:
    """Median microseconds of each kernel in a request; of those with counted operations also GFLOP/s."""
    from tvm_rank.plan.steps import Plan, total
    from tvm_rank.runtime.profile import profile

    plan = Plan.from_json((artifact / "plan.json").read_text(encoding="utf-8"), str(artifact))
    items = round(sum(len(items) for _, items in requests) / len(requests))
    found: dict[str, dict[str, float]] = {}
    for kernel in profile(engine, [{"user": user, "items": items} for user, items in requests])[1]:
        flop, _ = total([step for step in plan.kernels if step.operator == kernel.name], 1, items)
        found[kernel.name] = {"us": round(kernel.seconds * 1e6, 1), "calls": round(kernel.calls, 2)}
        if flop:
            found[kernel.name] |= {"flop": flop, "gflop_per_s": round(flop / kernel.seconds / 1e9, 1)}
    return found


def floor(folder: pathlib.Path, engine: Any, requests: list[Request], kernels: dict[str, dict[str, float]]) -> dict[str, float]:
    """The floating-point operations of a request's dense layers, and the bytes of the table rows that its ids lead to."""
    from tvm_rank.config.load import load_config

    used = set(engine.manifest.features)
    features = [feature for feature in load_config(folder / "fg.json").features if feature.embedding and feature.name in used]
    ids = bytes_read = 0
    for user, items in requests:
        for feature in features:
            counts = [values_of((items if field.side == "item" else user).column(field.name)) for field in feature.fields]
            found = int(np.sum(functools.reduce(np.multiply, counts)))
            ids, bytes_read = ids + found, bytes_read + 4 * feature.embedding.dim * found
    flop = sum(kernel.get("flop", 0) for kernel in kernels.values())
    return {"dense_flop": flop, "ids": ids / len(requests), "table_bytes": bytes_read / len(requests)}


def values_of(column: pa.ChunkedArray) -> np.ndarray:
    """How many values each row of a column has."""
    if not pa.types.is_list(column.type):
        return column.is_valid().to_numpy().astype(np.int64)
    return pa.compute.list_value_length(column).fill_null(0).to_numpy()


def show(result: dict[str, Any]) -> None:
    """Print the rounds, the kernels and the floor."""
    print(f"{result['items']} items, {result['conditions']['threads']} thread(s), microseconds a request")
    for entry in result["rounds"]:
        print("  " + "   ".join(f"{name} {value}" for name, value in entry.items()))
    best = min(entry["p50"] for entry in result["rounds"])
    print(
        f"median of the best round: {best / 1e3:.3f} ms; median of all: {np.median([e['p50'] for e in result['rounds']]) / 1e3:.3f} ms"
    )
    for name, kernel in sorted(result["kernels"].items(), key=lambda pair: -pair[1]["us"]):
        speed = f"   {kernel['gflop_per_s']:.1f} GFLOP/s" if "gflop_per_s" in kernel else ""
        print(f"  {name:28s} {kernel['us']:9.1f} us{speed}")
    least = result["floor"]
    print(
        f"floor of a request: {least['dense_flop'] / 1e6:.1f} MFLOP in dense layers; {least['ids']:.0f} ids, "
        f"{least['table_bytes'] / 1e6:.2f} MB of table rows"
    )


if __name__ == "__main__":
    sys.exit(main())
