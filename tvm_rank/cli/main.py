"""`tvm-rank`: the table of subcommands, and what an error means to the shell.

Exit status: 0 done · 1 a RankError, its message on stderr · 2 wrong usage · 130 interrupted. Other exceptions are bugs: their
traceback is shown.
"""

from __future__ import annotations

import argparse
import errno
import functools
import importlib
import os
import sys
from collections.abc import Sequence

import tvm_rank
from tvm_rank.errors import RankError

VERBS = {
    "compile": "features + model + tables -> artifact",
    "run": "rank the items of a file",
    "transform": "the features of files of rows, for training",
    "explain": "how the features of one item come about",
    "inspect": "what is in an artifact",
    "check": "whether an artifact computes the right scores here",
    "tune": "faster kernels for a model, by measuring",
    "bench": "times of models, next to other engines and the machine's ceilings",
    "refresh": "new items for the item store of an artifact",
}
FAILED, INTERRUPTED, BROKEN_PIPE = 1, 130, 141

EPILOG = """\
examples:
  tvm-rank compile --features fg.json --model model.onnx --tables tables.safetensors --out artifact
  tvm-rank run artifact --user user.arrow --items items.arrow --out scores.npy
  tvm-rank transform fg.json rows.parquet --out features
  tvm-rank explain artifact --user user.arrow --items items.arrow --item 7
  tvm-rank inspect artifact
  tvm-rank check artifact
  tvm-rank tune artifact --time-budget 600 --out model.tuning
  tvm-rank bench --workloads rank-bench-small --html report.html

`tvm-rank VERB --help` says more of each.
"""
# A fixed width: the same page on each terminal, and in the tests.
PAGE = functools.partial(argparse.RawDescriptionHelpFormatter, width=100, max_help_position=30)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="tvm-rank", description="A compiler for ranking models.", epilog=EPILOG, formatter_class=PAGE
    )
    top.add_argument("--version", action="version", version=f"tvm-rank {tvm_rank.__version__}")
    verbs = top.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    for name, about in VERBS.items():
        module = importlib.import_module(f"tvm_rank.cli.{name}")
        verb = verbs.add_parser(name, help=about, description=module.__doc__, epilog=module.EPILOG, formatter_class=PAGE)
        module.add_arguments(verb)
        verb.set_defaults(run=module.run, usage_error=verb.error)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run `tvm-rank` with these arguments (None: those of the process); gives the exit status."""
    try:
        args = parser().parse_args(argv)
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except SystemExit as stop:  # how argparse ends: 0 after --help, 2 after wrong usage
        return stop.code if isinstance(stop.code, int) else FAILED
    except RankError as error:
        print(f"tvm-rank: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("tvm-rank: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `tvm-rank inspect ... | head`: nobody reads on
        _close_stdout()
        return BROKEN_PIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _close_stdout()
        print(f"tvm-rank: {error}; make room, or give another place", file=sys.stderr)
        return FAILED


def _close_stdout() -> None:
    """The interpreter must not flush it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
