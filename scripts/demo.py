"""Compile a small ranking model and rank the 200 items of one request.

    scripts/demo                      in a temporary folder, which is removed
    scripts/demo --out shop           keep the model's files in shop/ and the compiled artifact in shop/artifact
    scripts/demo --request 3          rank another of the eight requests

The model is the zoo's `deepfm`: features of a user, a query and items as fg.json says, embedding tables, and an ONNX model. It is
written by the script itself, always the same. The scores are compared with a NumPy computation of the same model.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import tempfile
import time
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

import tvm_rank
from tvm_rank import zoo

REQUESTS = 8
ITEMS = 200
SHOWN = 10
RUNS = 50
TOLERANCE = 1e-5
COLUMNS = {"item_id": 10, "category": 10, "brand": 11, "price": 8, "rating": 6, "title": 36}


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """The result of `action`, and the seconds it took."""
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def cell(value: Any, width: int) -> str:
    """A value as text of `width` columns of a terminal; a wide character (東) takes two."""
    text = "-" if value in (None, "", []) else " ".join(value) if isinstance(value, list) else str(value)
    if isinstance(value, float):
        text = f"{value:.2f}"
    shown, used = "", 0
    for character in text:
        size = 2 if unicodedata.east_asian_width(character) in "WF" else 0 if unicodedata.combining(character) else 1
        if used + size > width:
            break
        shown, used = shown + character, used + size
    return shown + " " * (width - used)


def print_compiled(workload: zoo.Workload, folder: pathlib.Path, seconds: float) -> None:
    """What went into the compiler and what came out."""
    config = json.loads(workload.features.read_text(encoding="utf-8"))
    tables = workload.read_tables()
    weights = workload.read_weights()
    print(f"\ncompiled in {seconds:.1f} s")
    print(f"  features   {len(config['features'])} of fg.json")
    print(f"  tables     {len(tables)}, {sum(table.nbytes for table in tables.values()) / 1e6:.1f} MB")
    print(f"  dense part {sum(weight.size for weight in weights.values()):,} parameters of {workload.model.name}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    print(f"  artifact   {folder}: {sum(path.stat().st_size for path in files) / 1e6:.1f} MB in {len(files)} files")
    for path in files:
        print(f"             {path.relative_to(folder)!s:32} {path.stat().st_size / 1e3:10,.1f} kB")


def print_request(user: pa.Table) -> None:
    """The raw fields of the request side."""
    print("\nthe request")
    for name, (value,) in user.to_pydict().items():
        print(f"  {name:12} {cell(value, 60).rstrip()}")


def print_ranking(items: pa.Table, scores: np.ndarray) -> None:
    """The best items, best first, with their raw fields."""
    best = np.argsort(-scores, kind="stable")[:SHOWN]
    print(f"\nthe best {len(best)} of {len(items)} items")
    print("  rank    score  " + "  ".join(cell(name, width) for name, width in COLUMNS.items()))
    for rank, row in enumerate(items.select(list(COLUMNS)).take(pa.array(best)).to_pylist(), start=1):
        fields = "  ".join(cell(row[name], width) for name, width in COLUMNS.items())
        print(f"  {rank:4}  {scores[best[rank - 1]]:7.5f}  {fields}")


def run(folder: pathlib.Path, request: int) -> float:
    """Build, compile, load and rank, printing each; the largest difference to the NumPy scores."""
    workload = zoo.build("deepfm", folder, requests=REQUESTS, items=ITEMS)
    print(f"wrote a ranking model into {folder}: {', '.join(sorted(path.name for path in folder.glob('*.*')))}")
    path = folder / "artifact"
    artifact, compile_s = timed(lambda: tvm_rank.compile(features=workload.features, model=workload.model, tables=workload.tables))
    artifact.save(path)
    print_compiled(workload, path, compile_s)

    engine, load_s = timed(lambda: tvm_rank.load(path))
    user, items = workload.read_user(request), workload.read_items(request)
    scores = engine.rank(user=user, items=items)["score"][:, 0]
    times = [timed(lambda: engine.rank(user=user, items=items))[1] for _ in range(RUNS)]
    print_request(user)
    print_ranking(items, scores)

    difference = float(np.abs(scores - zoo.oracle(workload, request)).max())
    print(f"\ntimes: compile {compile_s:.1f} s, load {load_s * 1e3:.0f} ms", end=", ")
    print(f"rank {len(items)} items {statistics.median(times) * 1e3:.2f} ms (median of {RUNS}, from raw fields to scores)")
    print(f"check: largest difference to NumPy {difference:.1e} (allowed {TOLERANCE:.0e})")
    return difference


def main() -> int:
    """0 when the scores agree with NumPy."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help="keep the files here (default: a temporary folder)")
    parser.add_argument(
        "--request", type=int, default=0, choices=range(REQUESTS), metavar=f"0..{REQUESTS - 1}", help="which request to rank"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tvm-rank-") as scratch:
        difference = run(args.out or pathlib.Path(scratch), args.request)
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
