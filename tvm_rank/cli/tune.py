"""Search the knobs of a model's kernels by measuring, and write what was learned into a database, which
`tvm-rank compile --tuning` uses.

The model is what `tvm-rank compile` would be given, or an artifact, of which dense layers alone are
tuned. Stop it at any moment; the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING

from tvm_rank.cli.interrupt import Interrupts
from tvm_rank.cli.model_options import add_model_options, compile_arguments
from tvm_rank.cli.option_types import count, counts, names, seconds

if TYPE_CHECKING:
    from tvm_rank.tune.database import TuningDatabase

TRIALS = 256
EPILOG = """\
examples:
  tvm-rank tune --features fg.json --model model.onnx --tables tables/ --requests requests/ \\
      --time-budget 10m --out model.tuning
  tvm-rank tune artifact --kernels dense_569x512_relu_rows --trials 64 --out model.tuning
  tvm-rank tune --features fg.json --model model.onnx --tables tables/ --target cuda-sm_90 \\
      --tracker 10.0.0.1:9190 --key H200 --trials 512 --out h200.tuning
  tvm-rank tune --show model.tuning --report tuning.html
  tvm-rank compile --features fg.json --model model.onnx --tables tables/ --tuning model.tuning --out artifact

Trials of an earlier run count, and are not repeated.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `tune`."""
    parser.add_argument("artifact", nargs="?", metavar="ARTIFACT", help="the folder that `tvm-rank compile` wrote")
    add_model_options(parser, required=False)
    parser.add_argument("--out", metavar="DB", help="the database to write; records that it has are kept")
    parser.add_argument("--show", metavar="DB", help="only print what a database has learned")
    parser.add_argument("--trials", type=count, metavar="N", help=f"candidates of all kernels together (default: {TRIALS})")
    parser.add_argument("--time-budget", type=seconds, metavar="SECONDS", help="end after so long; 10m and 2h are understood")
    parser.add_argument(
        "--batch-sizes", type=counts, default=(64, 256, 1024), metavar="N,...", help="items of a request (default: 64,256,1024)"
    )
    parser.add_argument("--threads", type=count, metavar="T", help="threads of a request (default: all cores; 1 with --tracker)")
    parser.add_argument("--kernels", type=names, default=(), metavar="NAME,...", help="tune these only, by the names of inspect")
    parser.add_argument(
        "--requests",
        type=pathlib.Path,
        metavar="PATH",
        help="measure on these: a folder with user.arrow and items.arrow (or other files that run reads), or a file of items",
    )
    parser.add_argument("--tracker", metavar="HOST:PORT", help="measure on the servers of this RPC tracker, not here")
    parser.add_argument("--key", metavar="K", help="with --tracker: the key of the servers")
    parser.add_argument("--seed", type=int, default=0, help="of the search (default: 0)")
    parser.add_argument(
        "--report", type=pathlib.Path, metavar="FILE", help="also write what was learned: .html with plots, or .json"
    )
    parser.add_argument("--quiet", action="store_true", help="print the result only")


def run(args: argparse.Namespace) -> int:
    """Tune or show."""
    from tvm_rank.tune.database import TuningDatabase

    if args.show:
        if args.out or args.artifact or args.features:
            args.usage_error("--show goes alone")
        return _tell(TuningDatabase.load(args.show), args.report)
    if args.out is None:
        args.usage_error("give a database to write with --out, or one to print with --show")
    if (args.artifact is None) == (args.features is None or args.model is None):
        args.usage_error("give an ARTIFACT, or --features and --model")
    if (args.tracker is None) != (args.key is None):
        args.usage_error("--tracker and --key go together")
    from tvm_rank.cli.live_table import LiveTable
    from tvm_rank.cli.requests import read_requests
    from tvm_rank.tracker import Tracker
    from tvm_rank.tune.run import tune

    with Interrupts() as interrupts, LiveTable(interrupts, quiet=args.quiet) as table:
        job = tune(
            args.artifact or compile_arguments(args),
            args.out,
            trials=args.trials if args.trials or args.time_budget else TRIALS,
            seconds=args.time_budget,
            batch_sizes=args.batch_sizes,
            threads=args.threads,
            kernels=args.kernels,
            seed=args.seed,
            requests=None if args.requests is None else read_requests(args.requests),
            tracker=Tracker.of(args.tracker, args.key) if args.tracker else None,
            on_change=table.update,
        )
    for note in job.notes:
        print(f"note: {note}", file=sys.stderr)
    return _tell(TuningDatabase(args.out, job.journal.records), args.report)


def _tell(database: TuningDatabase, report: pathlib.Path | None) -> int:
    """Print what was learned, and write the report."""
    from tvm_rank.cli.aside import written_aside
    from tvm_rank.cli.tuning_text import learned_text
    from tvm_rank.tune.report import report_html, report_json

    print(learned_text(database))
    if report is not None:
        text = report_json(database) if report.suffix == ".json" else report_html(database)
        with written_aside(report, "the report") as aside:
            pathlib.Path(aside).write_text(text, encoding="utf-8")
    return 0
