"""Every model of the zoo end to end from raw fields, next to ONNX Runtime running the same ONNX from ready embeddings.

    python scripts/bench_zoo.py [NAME ...]

One request of --items items at a time, one thread on both sides. The engine gets Arrow columns and does features, lookups and the model;
ONNX Runtime gets the inputs of the graph, computed before, and does the model alone. Scores are compared before anything is timed; then the
two take turns, round by round. A row is the median of all rounds; `largest kernels` says where the engine's time goes.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from bench_rank import conditions

import tvm_rank
from tvm_rank import zoo
from tvm_rank.runtime.profile import profile
from tvm_rank.zoo import reference

TOLERANCE = 1e-5
REQUESTS = 8
SIZES: dict[str, Any] = {"dim": 16, "hidden": (128, 64), "length": 20, "rows": 10_000}  # of the models over the shop
KERNELS = 3  # shown of each model


def main() -> int:
    """Measure model by model, print a row for each; 1 when scores differ or ONNX Runtime is faster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models (default: all)")
    parser.add_argument("--items", type=int, default=256, help="items of a request (default 256)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side (default 7)")
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a round (default 0.3)")
    parser.add_argument("--artifacts", type=pathlib.Path, help="keep what is built here, and use what is there")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here")
    args = parser.parse_args()
    print(json.dumps(conditions(1) | {"onnxruntime": onnxruntime.__version__}))
    print("| model | tvm-rank, µs | ONNX Runtime, µs | times faster | largest kernels, µs |\n|---|---|---|---|---|")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names or zoo.MODELS:
            results.append(measured(name, (args.artifacts or pathlib.Path(folder)) / name, args))
            print(row(results[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps({"conditions": conditions(1), "models": results}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(result["difference"] <= TOLERANCE and result["times"] >= 1 for result in results) else 1


def measured(name: str, folder: pathlib.Path, args: argparse.Namespace) -> dict[str, Any]:
    """Build, compile, compare, time."""
    sizes = SIZES if zoo.MODELS[name].dense is None else {}
    workload = zoo.build(name, folder, requests=REQUESTS, items=args.items, **sizes)
    if not (folder / "artifact").exists():
        tvm_rank.compile(features=workload.features, model=workload.model, tables=workload.tables).save(folder / "artifact")
    engine = tvm_rank.load(folder / "artifact", threads=1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(workload.model), options, providers=["CPUExecutionProvider"])
    outputs = [entry.name for entry in session.get_outputs()]
    requests = [{"user": workload.read_user(r), "items": workload.read_items(r)} for r in range(REQUESTS)]
    feeds = [reference.model_inputs(workload, r) for r in range(REQUESTS)]
    difference = 0.0
    for request, feed in zip(requests, feeds, strict=True):
        for found, wanted in zip(engine.rank(**request).values(), session.run(outputs, feed), strict=True):
            difference = max(difference, float(np.abs(found - wanted).max()))
    own: list[float] = []
    other: list[float] = []
    for _ in range(args.rounds):
        own += times(lambda k: engine.rank(**requests[k]), args.seconds)
        other += times(lambda k: session.run(outputs, feeds[k]), args.seconds)
    kernels = sorted(profile(engine, requests)[1], key=lambda kernel: -kernel.seconds)[:KERNELS]
    return {
        "model": name,
        "difference": difference,
        "us": round(float(np.median(own)) * 1e6, 1),
        "onnxruntime_us": round(float(np.median(other)) * 1e6, 1),
        "times": round(float(np.median(other) / np.median(own)), 2),
        "kernels": {kernel.name: round(kernel.seconds * 1e6, 1) for kernel in kernels},
    }


def times(call: Callable[[int], Any], seconds: float) -> list[float]:
    """The times of calls, over all requests in turn, after one turn that does not count."""
    for k in range(REQUESTS):
        call(k)
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        call(len(found) % REQUESTS)
        found.append(time.perf_counter() - started)
    return found


def row(result: dict[str, Any]) -> str:
    """A row of the table."""
    kernels = ", ".join(f"`{name[:40]}` {us:.0f}" for name, us in result["kernels"].items())
    failed = "" if result["difference"] <= TOLERANCE else f" scores differ by {result['difference']:.1e}"
    return (
        f"| `{result['model']}` | {result['us']:.0f} | {result['onnxruntime_us']:.0f} | {result['times']:.2f}{failed} | {kernels} |"
    )


if __name__ == "__main__":
    sys.exit(main())
