"""Rank the items of a file, request by request, and print the best of the first requests.

Files are Arrow IPC (.arrow), Parquet (.parquet), CSV (.csv) or JSON lines (.jsonl). --user has one
row for each request; --items has the items of all requests, and an integer column that says which
row of --user an item belongs to.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from tvm_rank.cli.columns_file import read_columns
from tvm_rank.cli.requests import Request, split_requests
from tvm_rank.cli.scores_file import check_outputs, score_path, write_scores
from tvm_rank.cli.text_table import Cell, text_table

if TYPE_CHECKING:
    import numpy as np

    from tvm_rank.artifact.manifest import Manifest

EPILOG = """\
examples:
  tvm-rank run artifact --user user.arrow --items items.arrow --top 3
  tvm-rank run artifact --user user.csv --items items.csv --request-column row --out scores.csv
  tvm-rank run artifact --user user.arrow --items items.arrow --top 0 --threads 1 --repeat 20

--out holds the scores in the order of the items: .npy an array (N,) or (N, d), the others a column
for each output.
"""
SHOWN_REQUESTS = 3
SHOWN_COLUMNS = 3  # item columns beside the scores


def positive(text: str) -> int:
    """A whole number of at least 1; for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    parser.add_argument("artifact", metavar="ARTIFACT", help="the folder that `tvm-rank compile` wrote")
    parser.add_argument(
        "--user", metavar="FILE", help="user and context columns, one row a request; leave out if the model has none"
    )
    parser.add_argument("--items", required=True, metavar="FILE", help="item columns, one row an item")
    parser.add_argument(
        "--request-column", metavar="NAME", help="column of --items with the row of --user (default: request, if there is one)"
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="threads of one request (default: all cores)")
    parser.add_argument(
        "--top", type=lambda t: 0 if t == "0" else positive(t), default=5, metavar="K", help="how many items to print (default: 5)"
    )
    parser.add_argument("--out", type=score_path, metavar="FILE", help="write the scores: .npy, .parquet, .arrow or .csv")
    parser.add_argument(
        "--repeat", type=positive, metavar="N", help="rank each request N times, and print median and p99 of the times"
    )


def run(args: argparse.Namespace) -> int:
    """Rank, print and write."""
    import numpy as np

    import tvm_rank

    engine = tvm_rank.load(args.artifact, threads=args.threads)
    names = [output.name for output in engine.manifest.outputs]
    if args.out:
        check_outputs(args.out, names)
    user, items = read_columns(args.user) if args.user else None, read_columns(args.items)
    scores = _empty(engine.manifest, items.num_rows)
    times: list[float] = []
    ranked = missing = 0
    for request in split_requests(user, items, args.request_column):
        for _ in range(args.repeat or 1):
            started = time.perf_counter()
            result = engine.rank(user=request.user, items=request.items)
            times.append((time.perf_counter() - started) * 1e3)
        missing += result.missing.size
        for name in names:
            scores[name][request.rows] = result[name]
        if ranked < SHOWN_REQUESTS and args.top:
            print(f"request {request.number}: the best {min(args.top, len(request.rows))} of {len(request.rows)} items")
            print(best_items(request, result, args.top))
        ranked += 1
    print(f"ranked {items.num_rows:,} items of {ranked:,} requests with {engine.threads} thread{'s' if engine.threads > 1 else ''}")
    if missing:
        verbs = ("is", "has") if missing == 1 else ("are", "have")
        plural = "" if missing == 1 else "s"
        print(f"{missing:,} item{plural} {verbs[0]} not in the item store, and {verbs[1]} the defaults of all features")
    if args.repeat and times:
        print(f"time of a request: median {np.median(times):.3f} ms, p99 {np.percentile(times, 99):.3f} ms ({len(times):,} runs)")
    if args.out:
        write_scores(args.out, scores)
        print(f"wrote {args.out}")
    return 0


def _empty(manifest: Manifest, rows: int) -> dict[str, np.ndarray]:
    import numpy as np

    return {o.name: np.zeros([rows if extent == "N" else int(extent) for extent in o.shape], o.dtype) for o in manifest.outputs}


def best_items(request: Request, result: dict[str, np.ndarray], count: int) -> str:
    """A table of the best items by the first score: their rows in the item file, all outputs, and a few of their columns."""
    flat = {
        f"{name}[{k}]" if wide.shape[1] > 1 else name: wide[:, k]
        for name, wide in _wide(result).items()
        for k in range(wide.shape[1])
    }
    order = next(iter(flat.values())).argsort(kind="stable")[::-1][:count]
    shown = request.items.select(request.items.column_names[:SHOWN_COLUMNS]).take(order).to_pydict()
    rows: list[list[Cell]] = []
    for k, at in enumerate(order):
        scores = [float(column[at]) for column in flat.values()]
        rows.append([str(k + 1), str(request.rows[at]), *scores, *(str(values[k]) for values in shown.values())])
    return text_table(["rank", "row", *flat, *shown], rows)


def _wide(result: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.reshape(len(array), -1) for name, array in result.items()}
