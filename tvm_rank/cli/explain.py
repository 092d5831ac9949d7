"""Show how each feature of one request and one item comes about: from the raw fields over texts
and numbers to ids, with the defaults that were used and why.

The features are compiled and compared with their references: with --feature at each step, without
it in their values. The exit status is 1 when they differ. Give an artifact in place of fg.json to
explain what it serves: its configuration and hash function are taken, and its scores are shown.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tvm_rank.cli.columns_file import read_columns
from tvm_rank.cli.features_options import add_features_options
from tvm_rank.cli.requests import Request, split_requests
from tvm_rank.cli.text_table import text_table
from tvm_rank.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from tvm_rank.config.spec import FeatureConfig
    from tvm_rank.explain.trace import FeatureTrace, ValueTrace

EPILOG = """\
examples:
  tvm-rank explain fg.json --user user.arrow --items items.arrow --item 7
  tvm-rank explain fg.json --user user.arrow --items items.arrow --item 7 --feature city --json
  tvm-rank explain artifact --user user.arrow --items items.arrow --item 7

--item is a row of --items, counted from 0; the row of --user is the one that it belongs to.
"""
FAILED = 1
SHOWN_VALUES = 20  # of a feature; JSON has all


def row_number(text: str) -> int:
    """A whole number of at least 0; for argparse."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `explain`."""
    parser.add_argument("features", metavar="FG.json|ARTIFACT", help="feature configuration, or a folder that compile wrote")
    parser.add_argument("--user", metavar="FILE", help="user and context columns, one row a request; leave out if there are none")
    parser.add_argument("--items", required=True, metavar="FILE", help="item columns, one row an item")
    parser.add_argument("--item", required=True, type=row_number, metavar="K", help="the row of --items to explain, from 0")
    parser.add_argument(
        "--request-column", metavar="NAME", help="column of --items with the row of --user (default: request, if there is one)"
    )
    parser.add_argument("--feature", action="append", default=[], metavar="NAME", help="only this feature (may be repeated)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_features_options(parser)


def run(args: argparse.Namespace) -> int:
    """Explain, and say whether program and references agree."""
    from tvm_rank.explain.explain import explain_item

    user, items = read_columns(args.user) if args.user else None, read_columns(args.items)
    request, row = find_request(user, items, args.request_column, args.item)
    config, folder = open_configuration(args)
    names = args.feature or served_features(folder)
    traces = explain_item(config, request.user, request.items, row, names, steps=bool(args.feature))
    scores = artifact_scores(folder, request, row) if folder is not None else None
    agree = not any(trace.differences for trace in traces)
    if args.json:
        entry = {
            "item": args.item,
            "request": request.number,
            "hash_function": config.hash_function,
            "scores": scores,
            "agree": agree,
        }
        print(json.dumps(entry | {"features": [trace.to_json() for trace in traces]}, ensure_ascii=False, indent=1, default=str))
    else:
        print(f"item {args.item} of request {request.number}, hash function {config.hash_function}")
        if scores is not None:
            print("scores of the artifact: " + ", ".join(f"{name} {value}" for name, value in scores.items()))
        print(text_table(["feature", "type", "input", "raw", "text or number", "normalized", "id", "weight", "note"], rows(traces)))
        print(verdict(traces))
    return 0 if agree else FAILED


def find_request(user: pa.Table | None, items: pa.Table, column: str | None, item: int) -> tuple[Request, int]:
    """(the request that the item belongs to, the item's row in it). Raises InputError when there is no such item."""
    if item >= items.num_rows:
        raise InputError(f"--item {item}: the items file has {items.num_rows} rows, counted from 0")
    for request in split_requests(user, items, column):
        places = (request.rows == item).nonzero()[0]
        if len(places):
            return request, int(places[0])
    raise AssertionError("each item belongs to a request")


def open_configuration(args: argparse.Namespace) -> tuple[FeatureConfig, pathlib.Path | None]:
    """(the configuration, the folder of the artifact if it is one). Raises ConfigError, ArtifactError."""
    from tvm_rank.artifact import store
    from tvm_rank.config.load import load_config
    from tvm_rank.functions.file import read_functions

    given = pathlib.Path(args.features)
    reading: dict[str, Any] = {"udfs": read_functions(args.functions), "dialect": args.dialect}
    if not given.is_dir():
        return load_config(given, hash_function=args.hash_function, base_dir=args.base_dir or given.parent, **reading), None
    hash_function = args.hash_function or store.read(given).hash_function
    return load_config(given / store.FEATURES, hash_function=hash_function, base_dir=args.base_dir or given, **reading), given


def served_features(folder: pathlib.Path | None) -> Sequence[str]:
    """The features that an artifact uses; () for all, when there is no artifact."""
    from tvm_rank.artifact import store

    return () if folder is None else store.read(folder, verify=False).features


def artifact_scores(folder: pathlib.Path, request: Request, row: int) -> dict[str, Any]:
    """What the artifact itself gives for the item."""
    import tvm_rank

    engine = tvm_rank.load(folder, threads=1)
    found = engine.rank(user=request.user, items=request.items.slice(row, 1).combine_chunks())
    return {name: array[0].tolist() for name, array in found.items()}


def rows(traces: Sequence[FeatureTrace]) -> list[list[str]]:
    """The lines of the table: for each feature as many as it has inputs or values."""
    lines = []
    for trace in traces:
        values, notes = [value_cells(value) for value in trace.values[:SHOWN_VALUES]], notes_of(trace)
        inputs = [[f"{one.side}:{one.name}", raw_text(one.value)] for one in trace.inputs]
        for k in range(max(1, len(values), len(inputs), len(notes))):
            head = [trace.name, trace.type] if k == 0 else ["", ""]
            fields = inputs[k] if k < len(inputs) else ["", ""]
            cells = values[k] if k < len(values) else [""] * 5
            note = "; ".join(part for part in (cells[4], notes[k] if k < len(notes) else "") if part)
            lines.append([*head, *fields, *cells[:4], note])
    return lines


def value_cells(value: ValueTrace) -> list[str]:
    """Text or number, normalized, id, weight, note."""
    number, normalized, weight = (number_text(number) for number in (value.number, value.normalized, value.weight))
    shown = number if value.text is None else value.text
    return [shown, normalized, "" if value.id is None else str(value.id), weight, "default" if value.is_default else ""]


def number_text(number: float | None) -> str:
    """A float32 in the fewest digits that read back."""
    import numpy as np

    return "" if number is None else str(np.float32(number))


def notes_of(trace: FeatureTrace) -> list[str]:
    """What is to be said of a feature, a line each."""
    notes = [trace.rule] if trace.rule else []
    if trace.error:
        notes.append(f"REFUSED: {trace.error}")
    if trace.missing:
        notes.append(trace.missing if trace.values else f"no value, {trace.missing}")
    if len(trace.values) > SHOWN_VALUES:
        notes.append(f"{len(trace.values) - SHOWN_VALUES} more values")
    return [*notes, *(f"DIFFERS in {difference}" for difference in trace.differences)]


def raw_text(value: Any) -> str:
    """A raw value in a cell; null is not the text null."""
    return "null" if value is None else repr(value) if isinstance(value, str) else str(value)


def verdict(traces: Sequence[FeatureTrace]) -> str:
    """Whether the compiled program and the references agree."""
    wrong = [trace.name for trace in traces if trace.differences]
    if wrong:
        return f"the compiled program and the references DIFFER in {', '.join(wrong)}: please report this, with the configuration"
    refused = sum(1 for trace in traces if trace.error)
    unseen = sum(1 for trace in traces if trace.unconfirmed)
    parts = [f"the compiled program and the references agree on {len(traces) - refused} features"]
    parts += [f"{refused} refuse the row"] if refused else []
    parts += [f"of {unseen} the program does not show all steps"] if unseen else []
    return "; ".join(parts)
