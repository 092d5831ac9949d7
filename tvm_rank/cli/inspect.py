"""Say what is in an artifact: inputs, outputs, tables, column groups, kernels, files, code at each stage.

The artifact is not loaded, so it may be one for another machine.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import pathlib
import sys
import zlib
from typing import TYPE_CHECKING

from tvm_rank.errors import ArtifactError, RankError

if TYPE_CHECKING:
    from tvm_rank.plan.steps import Plan

LLVM, ASSEMBLY = "llvm", "asm"
STAGES = ("import", "inline", "graph", "legalize", "fuse", "lower", LLVM, ASSEMBLY)  # in the order in which they are made
PROFILED = 16  # requests
EPILOG = """\
examples:
  tvm-rank inspect artifact                    a summary
  tvm-rank inspect artifact --json             the manifest
  tvm-rank inspect artifact --plan             sides, rows, FLOPs and bytes, before and after the passes
  tvm-rank inspect artifact --plan --items 1000 --svg plan.svg
  tvm-rank inspect artifact --plan --profile --user-data user.arrow --item-data items.arrow
  tvm-rank inspect artifact --stage all        which stages there are
  tvm-rank inspect artifact --stage graph      the module at a stage: TVMScript, LLVM IR or assembly
  tvm-rank inspect --ops                       the ONNX operators and feature types that can be compiled
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `inspect`."""
    parser.add_argument("artifact", nargs="?", metavar="ARTIFACT", help="the folder that `tvm-rank compile` wrote")
    parser.add_argument("--stage", metavar="NAME", help=f"print the code at a stage: {', '.join(STAGES)}, or all to list them")
    parser.add_argument("--plan", action="store_true", help="print the steps of the model before and after the passes")
    parser.add_argument("--requests", type=_rows, default=1, metavar="R", help="user rows that --plan counts with (default 1)")
    parser.add_argument("--items", type=_rows, default=256, metavar="N", help="items that --plan counts with (default 256)")
    parser.add_argument(
        "--profile", action="store_true", help="with --plan: also measure the kernels, on the first requests of --item-data"
    )
    parser.add_argument("--user-data", metavar="FILE", help="with --profile: user columns, as `tvm-rank run --user` reads them")
    parser.add_argument("--item-data", metavar="FILE", help="with --profile: item columns, as `tvm-rank run --items` reads them")
    parser.add_argument("--threads", type=_rows, default=1, metavar="T", help="with --profile: threads of a request (default 1)")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="with --plan: also draw the steps")
    parser.add_argument("--json", action="store_true", help="print JSON: the manifest, or with --ops the lists")
    parser.add_argument("--ops", action="store_true", help="list what can be compiled, of any model")


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    if args.ops == (args.artifact is not None):
        args.usage_error("give an ARTIFACT, or --ops")
    if args.stage and (args.ops or args.json or args.plan):
        args.usage_error("--stage goes with an ARTIFACT alone")
    if (args.plan and args.ops) or (args.svg and not args.plan):
        args.usage_error("--plan goes with an ARTIFACT, --svg with --plan")
    if args.profile != bool(args.item_data) or (args.profile and (args.json or not args.plan)):
        args.usage_error("--profile goes with --plan and --item-data, and not with --json")
    if args.ops:
        return _print_supported(as_json=args.json)
    from tvm_rank.artifact import store
    from tvm_rank.cli.summary import summary

    manifest = store.read(args.artifact, verify=False)
    folder = pathlib.Path(args.artifact)
    if args.stage:
        # line by line: of one long write, what a closed pipe did not take is lost without an error
        sys.stdout.writelines(stage_text(folder, args.stage).splitlines(keepends=True))
    elif args.plan:
        _print_plan(folder, args)
    elif args.json:
        print(manifest.to_json())
    else:
        print(summary(manifest, folder))
    return 0


def _rows(text: str) -> int:
    """A number of rows, for argparse."""
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows; give one of at least 1")
    return int(text)


def _print_plan(folder: pathlib.Path, args: argparse.Namespace) -> None:
    from tvm_rank.artifact import store
    from tvm_rank.cli.aside import written_aside
    from tvm_rank.plan.picture import plan_svg
    from tvm_rank.plan.steps import Plan
    from tvm_rank.plan.text import plan_text

    path = folder / store.PLAN
    if not path.is_file():
        raise ArtifactError(f"{folder}: has no plan; compile the artifact again")
    text = path.read_text(encoding="utf-8")
    plan = Plan.from_json(text, str(path))
    print(text if args.json else plan_text(plan, args.requests, args.items))
    if args.profile:
        print("\n" + _profile(folder, plan, args))
    if args.svg:
        with written_aside(args.svg, "the picture") as aside:
            pathlib.Path(aside).write_text(plan_svg(plan, args.requests, args.items), encoding="utf-8")


def _profile(folder: pathlib.Path, plan: Plan, args: argparse.Namespace) -> str:
    """The measured table, over the first requests of the files."""
    import tvm_rank
    from tvm_rank.cli.columns_file import read_columns
    from tvm_rank.cli.requests import split_requests
    from tvm_rank.plan.measured import profile_text
    from tvm_rank.runtime.profile import profile

    engine = tvm_rank.load(folder, threads=args.threads)
    user = read_columns(args.user_data) if args.user_data else None
    chosen = list(itertools.islice(split_requests(user, read_columns(args.item_data), None), PROFILED))
    seconds, kernels = profile(engine, [{"user": request.user, "items": request.items} for request in chosen])
    items = round(sum(request.items.num_rows for request in chosen) / len(chosen))
    return profile_text(plan, seconds, kernels, 1, items)


def stage_text(folder: pathlib.Path, name: str) -> str:
    """The text of a stage, or for `all` the names of those there are. Raises RankError for one that is not there."""
    found = {path.name.removesuffix(".gz"): path for path in (folder / "stages").glob("*.gz")}
    if LLVM in found:
        found[ASSEMBLY] = found[LLVM]  # assembly is made from it on demand
    order = [*(stage for stage in STAGES if stage in found), *sorted(found.keys() - set(STAGES))]
    if name == "all":
        return "".join(f"{stage}\n" for stage in order)
    if name not in found:
        raise RankError(f"{folder}: has no stage {name!r}; it has {', '.join(order) or 'none'}")
    if name == ASSEMBLY:
        from tvm_rank.artifact.stages import assembly

        return assembly(_read(found[LLVM]))
    return _read(found[name]) + "\n"


def _read(path: pathlib.Path) -> str:
    try:
        return gzip.decompress(path.read_bytes()).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: damaged ({error}); compile the artifact again") from error


def _print_supported(*, as_json: bool) -> int:
    from tvm_rank.config.types import FEATURE_TYPES
    from tvm_rank.frontend.onnx_converters import converter_names
    from tvm_rank.frontend.onnx_operators import ML_DOMAIN, ML_OPERATORS

    supported = {"onnx": sorted(converter_names()), ML_DOMAIN: sorted(ML_OPERATORS), "features": list(FEATURE_TYPES)}
    if as_json:
        print(json.dumps(supported, indent=1))
    else:
        print("\n".join(["feature types:", *(f"  {name}" for name in supported["features"])]))
        print("\n".join(["ONNX operators:", *(f"  {name}" for name in supported["onnx"])]))
        print("\n".join([f"of {ML_DOMAIN}:", *(f"  {name}" for name in supported[ML_DOMAIN])]))
    return 0
