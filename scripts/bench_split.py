#!/usr/bin/env python3
"""What splitting the first layer gains in time, next to what it saves in operations.

The request side is 80 % of the first layer: `user` (800 numbers) and `item` (200), two hidden layers of 512 and 128. The model is compiled
with and without SplitDense (`tvm_rank.schedule.Schedule`), the scores of both are checked against NumPy, and requests are timed in turn,
one of each, so that other work on the machine meets both. Reported are medians, and how much of the saving in operations is a saving in
time:

    realized = (1 - time_split / time_whole) / (1 - flops_split / flops_whole)

    python scripts/bench_split.py --items 256 --threads 1
"""

from __future__ import annotations

import argparse
import os
import pathlib
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata

import numpy as np
import pyarrow as pa

import tvm_rank
from tvm_rank.plan.steps import total
from tvm_rank.schedule import Schedule
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights

USER, ITEM, HIDDEN = 800, 200, (512, 128)
TOLERANCE, WANTED = 1e-5, 0.8
WARM_UP = 20
SCHEDULES = {"whole": Schedule(without=("split_dense",)), "split": Schedule()}


def main() -> int:
    """Compile both, check, time, print; 1 when a score differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=256, help="items of the request (default 256)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the engine (default 1)")
    parser.add_argument("--rounds", type=int, default=300, help="requests of each kind (default 300)")
    args = parser.parse_args()
    conditions(args.threads)
    request, weights = columns(args.items), model_weights()
    wanted = scores(request, weights)
    with tempfile.TemporaryDirectory() as folder:
        engines, flops = {}, {}
        for name, schedule in SCHEDULES.items():
            artifact = compiled(weights, schedule)
            artifact.save(pathlib.Path(folder) / name)
            engines[name] = tvm_rank.load(pathlib.Path(folder) / name, threads=args.threads)
            flops[name] = total(artifact.plan.kernels, 1, args.items)[0]
            difference = float(np.abs(engines[name].rank(**request)["score"] - wanted).max())
            print(f"{name}: {flops[name] / 1e6:.1f} MFLOP, largest difference to NumPy {difference:.1e}")
            if not difference <= TOLERANCE:
                print(f"FAILED: a score differs by more than {TOLERANCE}", file=sys.stderr)
                return 1
        seconds = medians({name: lambda e=engine: e.rank(**request) for name, engine in engines.items()}, args.rounds)
    saved = {what: 1 - of["split"] / of["whole"] for what, of in (("operations", flops), ("time", seconds))}
    print(f"{args.items} items, {args.threads} thread(s), median of {args.rounds} requests each, in turn")
    for name, median in seconds.items():
        print(f"  {name:6} {median * 1e6:8.1f} us   {flops[name] / median / 1e9:6.1f} GFLOP/s")
    print(f"saved: {saved['operations']:.1%} of the operations, {saved['time']:.1%} of the time")
    print(f"realized: {saved['time'] / saved['operations']:.1%} (wanted: at least {WANTED:.0%})")
    return 0


def conditions(threads: int) -> None:
    """Print what a figure depends on besides the code."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("apache-tvm", "numpy", "pyarrow"))
    cores = sorted(os.sched_getaffinity(0))
    print(f"{model}; cores {cores}; threads {threads}; load {os.getloadavg()[0]:.2f}; tvm_rank {tvm_rank.__version__}, {versions}")


def model_weights() -> dict[str, np.ndarray]:
    """The weights of the three layers."""
    return dense_weights(np.random.default_rng(0), {"first": (USER + ITEM, HIDDEN[0]), "second": HIDDEN, "out": (HIDDEN[1], 1)})


def columns(items: int) -> dict[str, pa.Table]:
    """One request: vectors of numbers on both sides."""
    rng = np.random.default_rng(1)

    def table(name: str, rows: int, width: int) -> pa.Table:
        values = pa.array(rng.standard_normal(rows * width).astype(np.float32))
        return pa.table({name: pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * width, values)})

    return {"user": table("u", 1, USER), "items": table("i", items, ITEM)}


def compiled(weights: dict[str, np.ndarray], schedule: Schedule) -> tvm_rank.Artifact:
    """The model under a schedule."""
    features = [
        {"feature_name": name, "feature_type": "raw_feature", "expression": field, "value_dim": width}
        for name, field, width in (("user", "user:u", USER), ("item", "item:i", ITEM))
    ]
    graph = GraphWriter("split", {"user": (USER,), "item": (ITEM,)})
    hidden = graph.dense(graph.node("Concat", "user", "item", axis=1), "first", weights, "Relu")
    model = graph.model(graph.dense(graph.dense(hidden, "second", weights, "Relu"), "out", weights))
    return tvm_rank.compile(features={"features": features}, model=model, tuning=schedule)


def scores(request: dict[str, pa.Table], weights: dict[str, np.ndarray]) -> np.ndarray:
    """The scores (N, 1) by NumPy."""
    user, item = (np.stack(table.column(0).to_numpy()) for table in request.values())
    x = np.hstack([np.repeat(user, len(item), axis=0), item])
    for name in ("first", "second"):
        x = np.maximum(x @ weights[f"{name}_w"] + weights[f"{name}_b"], 0)
    return 1 / (1 + np.exp(-(x @ weights["out_w"] + weights["out_b"])))


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each call, which are made in turn."""
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(times)) for name, times in seconds.items()}


if __name__ == "__main__":
    raise SystemExit(main())
