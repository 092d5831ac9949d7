"""Compile a ranking model with its features and embedding tables into one artifact.

Each input of the ONNX model is bound by name: to the feature, or else to the group of features, that
has its name. All problems of a file are reported at once.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from typing import TYPE_CHECKING

from tvm_rank.cli.interrupt import Interrupts
from tvm_rank.cli.model_options import add_model_options, compile_arguments
from tvm_rank.cli.precision_options import add_precision_options, read_precision
from tvm_rank.cli.stages import stage_printer
from tvm_rank.cli.summary import precision_text, samples_text, store_text
from tvm_rank.cli.text_table import size_text

if TYPE_CHECKING:
    from tvm_rank.artifact.manifest import Manifest

EPILOG = """\
examples:
  tvm-rank compile --features fg.json --model model.onnx --tables tables.safetensors --out artifact
  tvm-rank compile --features fg.json --model model.onnx --tables tables/ --target x86-64-v3 --out artifact
  tvm-rank compile --features fg.json --model model.onnx --functions functions.py --out artifact
  tvm-rank compile --features fg.json --model m.onnx --items items.parquet --item-key item_id --out artifact
  tvm-rank compile --features fg.json --model model.onnx --tuning model.tuning --out artifact
  tvm-rank compile --features fg.json --model m.onnx --tables t.safetensors --out artifact \\
      --precision auto --tolerance 0.005 --sample-user user.arrow --sample-items items.arrow

targets: cpu (this machine), x86-64-v3 (AVX2), x86-64-v4 (AVX-512), sapphirerapids, aarch64.
An artifact at --out is replaced when the new one is complete.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `compile`."""
    add_model_options(parser, required=True)
    parser.add_argument("--tuning", metavar="DB", help="use what `tvm-rank tune` found")
    add_precision_options(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="the artifact to write")
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")


def run(args: argparse.Namespace) -> int:
    """Compile, save and say what came out."""
    from tvm_rank.artifact import store
    from tvm_rank.compiler import compile

    started = time.perf_counter()
    with Interrupts() as interrupts:
        progress = stage_printer(interrupts, quiet=args.quiet)
        arguments = compile_arguments(args)
        store.check_replaceable(pathlib.Path(args.out))  # before the work, not after it
        precision, samples = read_precision(args)
        artifact = compile(**arguments, precision=precision, samples=samples, tuning=args.tuning, progress=progress)
        progress("writing the artifact")
        artifact.save(args.out, progress)
    if unused := artifact.manifest.unused_features:
        print(f"warning: {len(unused)} features feed no input of the model: {', '.join(unused)}", file=sys.stderr)
    if not args.quiet:
        print(summary(store.read(args.out, verify=False), args.out, time.perf_counter() - started))
    return 0


def summary(manifest: Manifest, out: str, seconds: float) -> str:
    """What came out, a line for each matter."""
    tables = sum(len(stack.tables) for stack in manifest.stacks)
    table_bytes = sum(stack.rows * stack.row_bytes for stack in manifest.stacks)
    total = sum(entry.bytes for entry in manifest.files.values())
    lines = {
        "target": f"{manifest.target} ({manifest.machine}: {', '.join(manifest.needs) or 'no flags needed'})",
        "features": f"{len(manifest.features)} used, {len(manifest.unused_features)} unused",
        "tables": f"{tables}, {size_text(table_bytes)}",
        **({"items": store_text(manifest.store[0], manifest)} if manifest.store else {}),
        **({"precision": precision_text(manifest)} if manifest.precision else {}),
        "samples": samples_text(manifest),
        "kernels": f"{len(manifest.kernels)}, for {len(manifest.groups)} column groups",
        "compiled": f"in {manifest.compile_seconds:.1f} s, {seconds:.1f} s with writing",
        "artifact": f"{out}, {size_text(total)}",
    }
    return "\n".join(f"{name:10} {text}" for name, text in lines.items())
