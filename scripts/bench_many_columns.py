"""A thousand columns: time to compile, kernels, and time of a request, next to the same model in TensorFlow.

    python scripts/bench_many_columns.py --threads 1
    python scripts/bench_many_columns.py --threads 1 --tensorflow OTHER_VENV/bin/python

Both sides read the same columns and weights; scores are compared before anything is timed, and the two take turns, round by round,
in processes of their own. --tensorflow names a Python that has tensorflow-cpu, numpy and pyarrow.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from benching import many_columns as model

import tvm_rank
from tvm_rank.zoo.onnx_graph import GraphWriter

BATCHES = (32, 128, 512, 2048)
TOLERANCE = 1e-5
PEER = pathlib.Path(__file__).parent / "benching" / "many_columns_tf.py"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of both sides (default 1)")
    parser.add_argument("--tensorflow", metavar="PYTHON", help="also measure TensorFlow, in this Python")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=BATCHES, metavar="N", help=f"rows of a request (default {BATCHES})"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each side (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round (default 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the columns of each kind (default 1)")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here")
    args = parser.parse_args()
    chosen = model.columns(args.scale)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "artifact"
        started = time.perf_counter()
        artifact = tvm_rank.compile(
            features=model.fg(chosen), model=onnx_of(chosen), tables={c.name: model.table(c) for c in chosen}
        )
        seconds = time.perf_counter() - started
        artifact.save(path)
        engine = tvm_rank.load(path, threads=args.threads, tables="memory")
        kernels = sum(kernel["calls"] > 0 for kernel in engine.manifest.kernels)
        print(
            f"{len(chosen)} columns, {kernels} kernels, compiled in {seconds:.1f} s; {args.threads} thread(s), load {os.getloadavg()[0]:.1f}"
        )
        peer = Peer(args.tensorflow, args.scale, args.threads) if args.tensorflow else None
        results = [measure(engine, chosen, rows, peer, args) for rows in args.batches]
    if args.json:
        found = {
            "columns": len(chosen),
            "kernels": kernels,
            "compile_s": round(seconds, 1),
            "threads": args.threads,
            "batches": results,
        }
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(result["largest_difference"] <= TOLERANCE for result in results) else 1


def onnx_of(chosen: list[model.Column]) -> Any:
    """The dense model."""
    layers = model.weights(chosen)
    writer = GraphWriter("many", {"all": (len(layers[0][0]),)})
    found = {f"l{k}_{part}": array for k, pair in enumerate(layers) for part, array in zip("wb", pair, strict=True)}
    x = "all"
    for k in range(len(layers)):
        x = writer.dense(x, f"l{k}", found, "Relu") if k + 1 < len(layers) else writer.dense(x, f"l{k}", found)
    return writer.model(x)


class Peer:
    """The other process."""

    def __init__(self, python: str, scale: float, threads: int):
        command = [python, str(PEER), str(scale), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print(f"tensorflow {self._answer()['version']}")

    def __call__(self, rows: int, seconds: float) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{rows} {seconds}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the other process ended; see its message above")
        return json.loads(line)


def measure(engine: Any, chosen: list[model.Column], rows: int, peer: Peer | None, args: argparse.Namespace) -> dict[str, Any]:
    """The medians of one batch size, in milliseconds."""
    items = model.items(chosen, rows)
    scores = engine.rank(items=items)["score"].reshape(-1)
    difference = float(np.abs(scores[:64] - peer(rows, 0.0)["scores"]).max()) if peer else 0.0
    own: list[float] = []
    other: list[float] = []
    for _ in range(args.rounds):
        end, before = time.perf_counter() + args.seconds, len(own)
        while time.perf_counter() < end or len(own) < before + 3:
            started = time.perf_counter()
            engine.rank(items=items)
            own.append(time.perf_counter() - started)
        if peer:
            other += peer(rows, args.seconds)["times"]
    result = {"rows": rows, "largest_difference": difference, "ms": round(float(np.median(own)) * 1e3, 2)}
    text = f"{rows:6d} rows: {result['ms']:9.2f} ms"
    if peer:
        result["tensorflow_ms"] = round(float(np.median(other)) * 1e3, 2)
        ratio = result["tensorflow_ms"] / result["ms"]
        text += f", TensorFlow {result['tensorflow_ms']:9.2f} ms ({ratio:.1f} times), scores differ by {difference:.1e}"
    print(text, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
