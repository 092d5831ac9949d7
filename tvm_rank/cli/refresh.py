"""Make the item store of an artifact again, from new items. Nothing is compiled.

The artifact is replaced when the new store is complete; engines that are running go on with the items
that they have.
"""

from __future__ import annotations

import argparse

from tvm_rank.cli.interrupt import Interrupts
from tvm_rank.cli.stages import stage_printer

EPILOG = """\
examples:
  tvm-rank refresh artifact --items items.parquet

The items have the columns and types of those that the artifact was compiled with.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `refresh`."""
    parser.add_argument("artifact", metavar="ARTIFACT", help="an artifact that was compiled with --items")
    parser.add_argument("--items", required=True, metavar="FILE", help="all items, a Parquet or Arrow file")
    parser.add_argument("--allow-empty", action="store_true", help="take a file without rows, which is refused else")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(args: argparse.Namespace) -> int:
    """Refresh, and say what came out."""
    from tvm_rank.cli.summary import store_text
    from tvm_rank.items.refresh import refresh

    with Interrupts() as interrupts:
        printer = stage_printer(interrupts, quiet=args.quiet)
        manifest = refresh(args.artifact, args.items, printer, allow_empty=args.allow_empty)
    if not args.quiet:
        print(f"items      {store_text(manifest.store[0], manifest)}")
    return 0
