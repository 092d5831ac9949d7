"""Compute the features of every row of Parquet or Arrow files, as Parquet columns for training.

The code is that of `tvm-rank compile`: what a model is trained with and what it is served with
cannot differ. OUT becomes a folder of parts. A row group with a row that a feature refuses is left
out and reported, the others are written, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tvm_rank.cli.features_options import add_features_options
from tvm_rank.cli.interrupt import Interrupts
from tvm_rank.cli.run import positive
from tvm_rank.cli.text_table import size_text

if TYPE_CHECKING:
    from tvm_rank.transform.job import Progress, Summary
    from tvm_rank.transform.part import GroupError

EPILOG = """\
examples:
  tvm-rank transform fg.json rows.parquet --out features
  tvm-rank transform fg.json day1/ day2/ --out features --keep label --keep user_id --errors bad.jsonl
  tvm-rank transform fg.json rows.parquet --out features --resume

Each feature is a column: list<int64> (int64 where value_dim is 1 and there is a default_value),
float, or a fixed-size list of float; weights are in <feature>__weights. Columns named by --keep and
by `reserves` in fg.json are copied. A run that was stopped goes on with --resume where it was,
unless the configuration or a file changed.
"""
SHOWN_ERRORS = 5
FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `transform`."""
    parser.add_argument("features", metavar="FG.json", help="feature configuration")
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="Parquet (.parquet) or Arrow (.arrow) files, or folders of them")
    parser.add_argument("-o", "--out", required=True, metavar="OUT", help="the folder to write, new or empty")
    parser.add_argument("--keep", action="append", default=[], metavar="COLUMN", help="copy this column too (may be repeated)")
    parser.add_argument("--lengths", action="store_true", help="also write <feature>__lengths: the ids of each row")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run into OUT stopped")
    parser.add_argument("--errors", metavar="FILE", help="write the row groups that were left out, a JSON object a line")
    parser.add_argument("--threads", type=positive, metavar="N", help="parts made at once (default: all cores)")
    parser.add_argument("--batch-rows", type=positive, metavar="N", help="rows in memory at once, for each thread")
    parser.add_argument(
        "--compression",
        choices=("none", "snappy", "lz4", "zstd", "gzip"),
        default="none",
        help="of features (default: none; ids are delta-packed, which is smaller than most compression)",
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where: this machine, or a Ray cluster")
    add_features_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(args: argparse.Namespace) -> int:
    """Transform, and say what came out."""
    from tvm_rank.functions.file import read_functions
    from tvm_rank.transform.job import Options, transform_files

    options = Options(
        keep=tuple(args.keep),
        lengths=args.lengths,
        hash_function=args.hash_function,
        base_dir=args.base_dir,
        dialect=args.dialect,
        udfs=read_functions(args.functions),
        threads=args.threads,
        rows=args.batch_rows,
        compression=args.compression,
        engine=args.engine,
        resume=args.resume,
    )
    try:
        with Interrupts() as interrupts, _bar(shown=not args.quiet and sys.stderr.isatty()) as show:

            def progress(state: Progress) -> None:
                interrupts.check()
                show(state)

            summary = transform_files(args.features, args.inputs, args.out, options, progress)
    except KeyboardInterrupt:
        print(f"tvm-rank: stopped; go on with: tvm-rank transform ... --out {args.out} --resume", file=sys.stderr)
        raise
    if args.errors:
        write_errors(args.errors, summary.errors)
    if not args.quiet:
        print(summary_text(summary, args.out))
    _print_errors(summary.errors, args.errors)
    return FAILED if summary.errors else 0


class _bar:
    """A progress bar on a terminal: `with _bar(shown=True) as show: show(state)`."""

    def __init__(self, *, shown: bool):
        self._bar: Any = None
        self._task: Any = None
        if shown:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

            columns = [
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            ]
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)

    def __enter__(self) -> Callable[[Progress], None]:
        if self._bar is not None:
            self._bar.start()
        return self._show

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _show(self, state: Progress) -> None:
        if self._bar is None:
            return
        if self._task is None:
            self._task = self._bar.add_task("", total=state.all_bytes)
        failed = f", {state.failed} left out" if state.failed else ""
        text = f"part {state.done_parts:,} of {state.all_parts:,}{failed}"
        self._bar.update(self._task, completed=state.done_bytes, description=text)


def summary_text(summary: Summary, out: str) -> str:
    """What came out, in one or two lines."""
    resumed = f", {summary.resumed} of them by an earlier run" if summary.resumed else ""
    parts = f"{summary.parts:,} part{'s' if summary.parts != 1 else ''}"
    return f"wrote {summary.rows:,} rows in {parts}{resumed}, {size_text(summary.bytes)}, to {out} in {summary.seconds:.1f} s"


def write_errors(path: str, errors: tuple[GroupError, ...]) -> None:
    """The errors as JSON lines. Raises RankError."""
    from tvm_rank.errors import RankError

    text = "".join(json.dumps(dataclasses.asdict(error), ensure_ascii=False) + "\n" for error in errors)
    try:
        pathlib.Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RankError(f"{path}: cannot be written ({error})") from error


def _print_errors(errors: tuple[GroupError, ...], file: str | None) -> None:
    if not errors:
        return
    print(f"tvm-rank: {len(errors)} group{'s' if len(errors) != 1 else ''} of rows left out:", file=sys.stderr)
    for error in errors[:SHOWN_ERRORS]:
        print(f"  {error}", file=sys.stderr)
    if len(errors) > SHOWN_ERRORS:
        where = file or "give --errors FILE for all"
        print(f"  ... and {len(errors) - SHOWN_ERRORS} more: {where}", file=sys.stderr)
