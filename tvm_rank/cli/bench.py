"""Measure models from raw fields to scores, next to other engines and to what the machine can do at most.

Scores are compared with the expected ones first; wrong ones are never timed. All contestants run in
processes of their own and take turns, round by round. What is finished stays written when you stop it.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

from tvm_rank.cli.interrupt import Interrupts
from tvm_rank.cli.option_types import count, counts, names, seconds, targets

if TYPE_CHECKING:
    from tvm_rank.bench.results import Results

SLOWER = 1
EPILOG = """\
examples:
  tvm-rank bench
  tvm-rank bench --workloads rank-bench,din --batch-sizes 64,256 --threads 1,2 --html report.html
  tvm-rank bench --targets x86-64-v3,x86-64-v4 --precisions fp32,int8 --json new.json
  tvm-rank bench --against onnxruntime,torch --baseline-python torch=venv/bin/python
  tvm-rank bench --targets cpu,aarch64 --tracker 10.0.0.1:9190 --key arm
  tvm-rank bench --workloads zoo --against onnxruntime --folder models
  tvm-rank bench --json new.json --compare old.json
  tvm-rank bench --show new.json --compare old.json --html report.html

Workloads: rank-bench, rank-bench-din (1 GB of tables each), both with -small (10 MB), the models of the
zoo by name, `zoo` for all of them, or a folder with fg.json, model.onnx, tables.safetensors, user.arrow,
items.arrow, and scores.npy if the scores are known.

Exit status 1: a score is wrong, or --compare finds tvm-rank slower beyond the noise.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `bench`."""
    add = parser.add_argument
    add(
        "--workloads",
        type=names,
        default=("rank-bench-small",),
        metavar="NAME,...",
        help="what to measure (default: rank-bench-small)",
    )
    add("--targets", type=targets, default=("cpu",), metavar="TARGET,...", help="as of compile; those that cannot run are named")
    add(
        "--precisions",
        type=names,
        default=("fp32",),
        metavar="P,...",
        help="of dense layers: fp32, bf16, int8; on GPUs fp32, bf16, fp16, tf32 (default: fp32)",
    )
    add("--batch-sizes", type=counts, default=(64, 256, 1024), metavar="N,...", help="items of a request (default: 64,256,1024)")
    add("--threads", type=counts, default=(1,), metavar="T,...", help="threads of a request (default: 1)")
    add("--against", type=names, default=(), metavar="NAME,...", help="baselines: onnxruntime, tensorflow, torch")
    add("--baseline-python", type=_python, action="append", default=[], metavar="NAME=PATH",
        help="the interpreter that has a baseline's packages (may be repeated; default: this one)")  # fmt: skip
    add("--tracker", metavar="HOST:PORT", help="measure targets other than cpu on the servers of this RPC tracker")
    add("--key", metavar="K", help="with --tracker: the key of the servers")
    add("--rounds", type=count, default=7, metavar="N", help="turns of each contestant (default: 7)")
    add("--seconds", type=seconds, default=0.4, metavar="S", help="length of a round (default: 0.4)")
    add("--requests", type=count, default=16, metavar="N", help="different requests, scored in turn (default: 16)")
    add("--tolerance", type=_tolerance, metavar="X", help="of a score (default: 1e-5, bf16 0.02, fp16 and tf32 0.005, int8 0.05)")
    add("--tables", choices=("mapped", "memory"), default="mapped", help="how the engine holds tables (default: mapped)")
    add("--folder", metavar="DIR", help="keep models and artifacts here, and use those that are there")
    add("--no-ceilings", action="store_true", help="do not measure what the machine can do at most")
    add("--json", type=pathlib.Path, metavar="FILE", help="write the results, after each batch size")
    add("--html", type=pathlib.Path, metavar="FILE", help="write a page with plots, after each batch size")
    add("--markdown", type=pathlib.Path, metavar="FILE", help="write the tables for a document, at the end")
    add("--compare", type=pathlib.Path, metavar="OLD.json", help="say what got slower since these results")
    add("--show", type=pathlib.Path, metavar="FILE.json", help="measure nothing; print, draw and compare these results")
    add("--quiet", action="store_true", help="print the result only")


def run(args: argparse.Namespace) -> int:
    """Measure or show, write, compare."""
    from tvm_rank.bench.compare import compare
    from tvm_rank.bench.results import Results
    from tvm_rank.bench.text import comparison_text, results_text

    if (args.tracker is None) != (args.key is None):
        args.usage_error("--tracker and --key go together")
    old = None if args.compare is None else Results.load(args.compare)
    if args.show:
        results = Results.load(args.show)
        _write(results, args)
    else:
        results = _measure(args)
    print(results_text(results))
    if args.markdown:
        from tvm_rank.bench.markdown import results_markdown

        _save(args.markdown, results_markdown(results))
    if old is None:
        return 0
    comparison = compare(old, results)
    print("\n" + comparison_text(comparison, str(args.compare)))
    return SLOWER if comparison.slower else 0


def _measure(args: argparse.Namespace) -> Results:
    """Run the benchmark; the files hold what is finished, at any moment."""
    from tvm_rank.bench.job import State, run
    from tvm_rank.bench.options import Options
    from tvm_rank.cli.bench_table import BenchTable

    fields = ("workloads", "targets", "precisions", "batch_sizes", "threads", "against", "rounds", "seconds", "requests", "tolerance",
              "tables", "folder", "tracker", "key")  # fmt: skip
    options = Options(**{name: getattr(args, name) for name in fields}, pythons=dict(args.baseline_python))
    written = 0
    with Interrupts() as interrupts, BenchTable(quiet=args.quiet) as table:

        def on_change(state: State, what: str) -> None:
            nonlocal written
            interrupts.check()
            if len(state.results.measurements) != written:
                written = len(state.results.measurements)
                _write(state.results, args)
            table.update(state, what)

        results = run(options, on_change, measure_ceilings=not args.no_ceilings)
    _write(results, args)
    return results


def _write(results: Results, args: argparse.Namespace) -> None:
    """The files that are written on the way."""
    if args.json:
        _save(args.json, results.to_json())
    if args.html:
        from tvm_rank.bench.page import results_html

        _save(args.html, results_html(results))


def _save(path: pathlib.Path, text: str) -> None:
    from tvm_rank.cli.aside import written_aside

    with written_aside(path, "the report") as aside:
        pathlib.Path(aside).write_text(text, encoding="utf-8")


def _python(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r}: give NAME=PATH, as torch=venv/bin/python")
    return name, path


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no difference of scores; give a number of at least 0")
    return value
