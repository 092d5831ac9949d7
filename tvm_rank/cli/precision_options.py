"""The options of precision: how precise the model is computed, and the requests by which that is judged."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tvm_rank.errors import InputError

if TYPE_CHECKING:
    from tvm_rank.precision import Precision, Samples

PRECISIONS = ("fp32", "bf16", "fp16", "tf32", "int8", "auto")


def add_precision_options(parser: argparse.ArgumentParser) -> None:
    """--precision, and what judges it."""
    group = parser.add_argument_group("precision of dense layers")
    group.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="fp16, tf32: GPUs only · auto: the fastest within the tolerance"
    )
    group.add_argument(
        "--keep-fp32", nargs="+", default=[], metavar="LAYER", help="layers that stay: first, last, or their numbers"
    )
    group.add_argument("--tolerance", type=float, metavar="D", help="how much a score of the samples may differ from fp32")
    group.add_argument("--sample-user", metavar="FILE", help="user columns of sample requests, read as by `tvm-rank run`")
    group.add_argument("--sample-items", metavar="FILE", help="their item columns; `request` is the row of --sample-user")
    group.add_argument("--sample-label", metavar="COLUMN", help="column of --sample-items, 1 for a click: change of AUC")


def read_precision(args: argparse.Namespace) -> tuple[Precision, Samples | None]:
    """The arguments of `compile` that these options stand for. Raises InputError, or RankError for values that nothing can be."""
    from tvm_rank.precision import Precision

    keep = tuple(int(name) if name.isdecimal() else name for name in args.keep_fp32)
    wanted = Precision(dense=args.precision, keep=keep, tolerance=args.tolerance)
    if args.sample_items is None:
        if args.sample_user or args.sample_label:
            args.usage_error("--sample-user and --sample-label go with --sample-items")
        return wanted, None
    return wanted, _samples(args)


def _samples(args: argparse.Namespace) -> Samples:
    from tvm_rank.cli.columns_file import read_columns
    from tvm_rank.cli.requests import as_samples

    user = None if args.sample_user is None else read_columns(args.sample_user)
    items, labels = read_columns(args.sample_items), None
    if args.sample_label is not None:
        if args.sample_label not in items.column_names:
            raise InputError(
                f"{args.sample_items}: no column {args.sample_label!r} for --sample-label; it has {', '.join(items.column_names)}"
            )
        labels = items[args.sample_label].to_numpy()
        items = items.drop_columns([args.sample_label])
    return as_samples(user, items, labels)
