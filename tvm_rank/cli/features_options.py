"""Options that every verb with a feature configuration has: dialect, functions, hash function, folder of its files."""

from __future__ import annotations

import argparse


def add_features_options(parser: argparse.ArgumentParser) -> None:
    """The options that say how a configuration is read."""
    parser.add_argument("--hash-function", choices=("std", "farm"), help="hash of the buckets (default: as fg.json says, else std)")
    parser.add_argument("--dialect", choices=("pyfg", "rtp"), default="pyfg", help="pyfg, or rtp for files of the older engine")
    parser.add_argument(
        "--functions",
        action="append",
        default=[],
        metavar="FILE.py",
        help="Python file with functions under @tvm_rank.udf that fg.json names (may be repeated); it is run",
    )
    parser.add_argument("--base-dir", metavar="DIR", help="where the files lie that fg.json names (default: beside fg.json)")
