"""A gradient-boosted ensemble compiled, next to lleaves and LightGBM over the same rows.

    python scripts/bench_trees.py [--model booster.txt] [--lleaves-cache model.o]

It trains an ensemble (or reads one), compiles it here and with lleaves, compares the scores with LightGBM's, and then times all in turns on one
thread: from an array of NumPy to an array of NumPy, other rows in each call. Each side gets the numbers it takes: float32 here, float64
for the others. Times are of the calling thread's processor, medians of all calls, so that other programs count little.
lleaves is no dependency (pip install lleaves "llvmlite<0.45"); without it, it is left out. It takes minutes to compile a model of this size.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import tvm
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from tvm import relax

from te_schedules.lower import PIPELINE
from tvm_rank.bench.conditions import conditions
from tvm_rank.frontend.onnx_model import import_model
from tvm_rank.target import resolve

TOLERANCE = 1e-6
ROWS = (1, 100, 10_000)
Score = Callable[[np.ndarray], np.ndarray]


def main() -> int:
    """Train, compile, compare, time; 1 when scores differ or lleaves is faster somewhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--leaves", type=int, default=64)
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--model", type=pathlib.Path, help="a LightGBM model file: read if it is there, else written")
    parser.add_argument("--lleaves-cache", type=pathlib.Path, help="where lleaves keeps what it compiled")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each side (default 5)")
    parser.add_argument("--seconds", type=float, default=0.4, help="length of a round (default 0.4)")
    args = parser.parse_args()
    booster = booster_of(args)
    x = rows_of(args.features, max(ROWS), seed=1)
    wanted = booster.predict(x, num_threads=1)
    started = time.perf_counter()
    compiled = compiled_of(booster, args.features)
    print(json.dumps(conditions() | {"trees": booster.num_trees(), "lightgbm": lightgbm.__version__}))
    print(f"compiled in {time.perf_counter() - started:.1f} s, the import of the model included")
    sides: dict[str, tuple[Score, np.ndarray]] = {
        "tvm-rank": (compiled, x.astype(np.float32)),
        "LightGBM": (lambda rows: booster.predict(rows, num_threads=1), x),
    }
    if other := lleaves_of(booster, args):
        sides["lleaves"] = (other, x)
    differences = {name: float(np.abs(score(rows) - wanted).max()) for name, (score, rows) in sides.items()}
    print("largest difference to LightGBM:", json.dumps(differences))
    times = {name: {count: [] for count in ROWS} for name in sides}
    for count in ROWS:
        for _ in range(args.rounds):
            for name, (score, rows) in sides.items():
                times[name][count] += timed(score, rows, count, args.seconds)
    return report(times, differences["tvm-rank"])


def report(times: dict[str, dict[int, list[float]]], difference: float) -> int:
    """Print the table; the exit status."""
    names = list(times)
    print("| rows | " + " | ".join(f"{name}, µs a call" for name in names) + " |\n|---" + "|---" * len(names) + "|")
    medians = {name: {count: float(np.median(found)) * 1e6 for count, found in of.items()} for name, of in times.items()}
    for count in ROWS:
        print(f"| {count} | " + " | ".join(f"{medians[name][count]:.1f}" for name in names) + " |")
    is_faster = all(medians["tvm-rank"][count] <= medians.get("lleaves", medians["tvm-rank"])[count] for count in ROWS)
    return 0 if is_faster and difference <= TOLERANCE else 1


def rows_of(features: int, count: int, seed: int) -> np.ndarray:
    """float64 rows whose numbers are float32 ones."""
    return np.random.default_rng(seed).normal(size=(count, features)).astype(np.float32).astype(np.float64)


def booster_of(args: argparse.Namespace) -> lightgbm.Booster:
    """The ensemble."""
    if args.model and args.model.exists():
        return lightgbm.Booster(model_file=str(args.model))
    x = rows_of(args.features, 40_000, seed=0)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + 0.3 * x[:, 3:10].sum(axis=1) + np.random.default_rng(2).normal(size=len(x))
    params = {"objective": "regression", "num_leaves": args.leaves, "min_data_in_leaf": 5, "learning_rate": 0.05, "verbose": -1}
    booster = lightgbm.train(params, lightgbm.Dataset(x, y), args.trees)
    if args.model:
        booster.save_model(str(args.model))
    return booster


def compiled_of(booster: lightgbm.Booster, features: int) -> Score:
    """The model through ONNX and the project's passes: float32 rows -> scores."""
    model = convert_lightgbm(booster, initial_types=[("x", FloatTensorType([None, features]))])
    mod, target = import_model(model).mod, resolve("cpu").tvm_target
    main_function = relax.VirtualMachine(relax.build(relax.transform.LegalizeOps()(mod), target, tir_pipeline=PIPELINE), tvm.cpu())[
        "main"
    ]
    tvm.get_global_func("runtime.config_threadpool")(1, 1)
    return lambda rows: np.from_dlpack(main_function(rows)[0])[:, 0]


def lleaves_of(booster: lightgbm.Booster, args: argparse.Namespace) -> Score | None:
    """The model compiled by lleaves, if that is installed."""
    try:
        lleaves: Any = importlib.import_module("lleaves")
    except ImportError:
        return None
    path = args.model or pathlib.Path("bench_trees_booster.txt")
    if not path.exists():
        booster.save_model(str(path))
    model = lleaves.Model(str(path))
    model.compile(cache=args.lleaves_cache)
    return lambda rows: model.predict(rows, n_jobs=1)


def timed(score: Score, rows: np.ndarray, count: int, seconds: float) -> list[float]:
    """The times of calls of `count` rows, other ones each time, after one that does not count."""
    parts = [np.ascontiguousarray(rows[k : k + count]) for k in range(0, len(rows) - count + 1, count)]
    score(parts[0])
    found: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not found:
        part = parts[len(found) % len(parts)]
        started = time.thread_time()
        score(part)
        found.append(time.thread_time() - started)
    return found


if __name__ == "__main__":
    sys.exit(main())
