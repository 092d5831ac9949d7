"""Options that name what is compiled: features, model, tables, items, target."""

from __future__ import annotations

import argparse
from typing import Any

from tvm_rank.artifact.manifest import LAYOUTS, MATERIALIZED
from tvm_rank.cli.features_options import add_features_options
from tvm_rank.ops.table_rows import OTHERS


def add_model_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The options; `required`: features and model must be given."""
    parser.add_argument("--features", required=required, metavar="FILE", help="feature configuration, fg.json")
    parser.add_argument("--model", required=required, metavar="FILE", help="dense model, ONNX with a dynamic batch")
    parser.add_argument(
        "--tables", metavar="PATH", help="embedding tables: a .safetensors file, or a folder with one .npy for each"
    )
    parser.add_argument("--items", metavar="FILE", help="Parquet or Arrow file of all items, for an item store: requests carry ids")
    parser.add_argument("--item-key", metavar="NAME", help="the column of --items that is the id of an item")
    parser.add_argument(
        "--store-layout", choices=LAYOUTS, help="rows: all fields of an item side by side (default: as tuned, or columns)"
    )
    parser.add_argument(
        "--materialize",
        choices=(*MATERIALIZED, "auto"),
        help="what of the items is computed ahead, into the store (default: as tuned, or none)",
    )
    parser.add_argument(
        "--memory-budget", type=int, metavar="BYTES", help="what --materialize auto may add to the store (default: 4 GiB)"
    )
    parser.add_argument(
        "--table-precision",
        action="append",
        default=[],
        metavar="[TABLE=]PRECISION",
        help="fp32, fp16, bf16, int8, int4, or auto: the fastest within --tolerance; may be repeated (default: fp32)",
    )
    parser.add_argument("--target", default="cpu", help="the machine to compile for (default: cpu)")
    add_features_options(parser)


def compile_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `tvm_rank.compile`; ends the command when they do not go together."""
    from tvm_rank.functions.file import read_functions

    if (args.items is None) != (args.item_key is None):
        args.usage_error("--items and --item-key go together")
    return {
        "features": args.features,
        "model": args.model,
        "tables": args.tables,
        "items": args.items,
        "item_key": args.item_key,
        "store_layout": args.store_layout,
        "materialize": args.materialize,
        "memory_budget": args.memory_budget,
        "target": args.target,
        "table_precision": {
            table or OTHERS: precision for table, _, precision in (p.rpartition("=") for p in args.table_precision)
        },
        "hash_function": args.hash_function,
        "base_dir": args.base_dir,
        "udfs": read_functions(args.functions),
        "dialect": args.dialect,
    }
