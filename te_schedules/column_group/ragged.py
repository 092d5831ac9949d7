"""The kernels of a feature program, whose results are the features themselves: ids, numbers, numbers of sequences.

    collect_ids    -> lengths (id features, rows), and in pieces: ids, weights, ids of the elements of sequences (`collect.py`)
    copy_pieces    brings the pieces of each feature together
    numbers        -> dense (all widths, rows): (rows, width) of each feature, one behind the other

The numbers of sequences are ragged, so their elements are counted first:

    count_elements -> elements (number sequences, rows)        starts = running sum of elements * width
    sequence_numbers (starts) -> numbers (nnz,)

Texts, of features without a bucketizer, need two kernels too:

    count_texts  -> lengths (text features, rows), sizes (bytes)
    emit_texts   (starts, byte_starts) -> text (all bytes), ends (nnz,), weights (nnz,)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tvm

from te_schedules import check_columns
from te_schedules.column_group import collect, kernel, sinks, text_sinks
from te_schedules.column_group.layout import Layout, Use
from te_schedules.column_group.op import dimension
from te_schedules.column_group.producers import lay_out_with_producers
from te_schedules.column_group.sequences import CountSequence, SequenceNumbers
from te_schedules.feature import Column
from te_schedules.feature.kind import procedures_of
from te_schedules.procedure import prim_funcs


def text_uses(columns: Sequence[Column], sink: Any) -> list[Use]:
    """The uses of `count_texts` or `emit_texts`: column k is row k of `lengths` and `starts`."""
    return [Use(column=column, sink=sink, ints={"out": k}) for k, column in enumerate(columns)]


def number_uses(columns: Sequence[Column]) -> list[Use]:
    """The uses of `numbers`: the columns lie one behind the other."""
    uses, out = [], 0
    for column in columns:
        uses.append(Use(column=column, sink=sinks.NumberColumns(), ints={"out": out, "width": dimension(column)}))
        out += dimension(column)
    return uses


def module(
    columns: Sequence[Column], producers: Mapping[str, Column], fields: int, knobs: kernel.Knobs, prefix: str = ""
) -> tuple[tvm.IRModule, dict[str, Layout]]:
    """The kernels of a program, and the constant vectors that each of them takes. `producers`: what the columns read by name · prefix:
    put before the kernels' names, where several programs are in one library."""
    ids = [column for column in columns if column.kind.yields_ids]
    texts = [column for column in columns if column.kind.yields_texts]
    rest = [column for column in columns if not column.kind.yields_ids and not column.kind.yields_texts]
    numbers = [column for column in rest if column.sequence is None]
    sequences = [column for column in rest if column.sequence is not None]
    layouts, functions = {}, {"check_columns": check_columns.prim_func()}

    def add(name: str, uses: Sequence[Use], inputs: list[kernel.Argument], outputs: list[kernel.Argument]) -> None:
        layout = lay_out_with_producers(uses, producers, fields)
        status = kernel.Argument("status", (max(1, len(layout.refusals)),), "int64")
        layouts[name] = layout
        arguments = (layout, fields, inputs, [*outputs, status])
        functions[prefix + name] = kernel.build(prefix + name, f"rank.{name}", *arguments, rows="rows", knobs=knobs)

    if ids:
        uses = [Use(column=column, sink=collect.Collect(), ints={"out": k}) for k, column in enumerate(ids)]
        add("collect_ids", uses, collect.inputs(), collect.outputs(len(ids)))
        functions["copy_pieces"] = collect.copy_pieces()
    if texts:
        of_rows = {name: kernel.Argument(name, (len(texts), "rows"), "int64") for name in ("sizes", "starts", "byte_starts")}
        lengths = kernel.Argument("lengths", (len(texts), "rows"), "int32")
        add("count_texts", text_uses(texts, text_sinks.CountTexts()), [], [lengths, of_rows["sizes"]])
        flat = [kernel.Argument("text", ("all_bytes",), "uint8"), kernel.Argument("ends", ("nnz",), "int64")]
        flat.append(kernel.Argument("weights", ("nnz",), "float32"))
        add("emit_texts", text_uses(texts, text_sinks.RaggedTexts()), [of_rows["starts"], of_rows["byte_starts"]], flat)
    if numbers:
        width = sum(dimension(column) for column in numbers)
        add("numbers", number_uses(numbers), [], [kernel.Argument("out0", (width, "rows"), "float32")])
    if sequences:
        count = (len(sequences), "rows")
        uses = [Use(column=c, sink=CountSequence(), ints={"sequence": k}) for k, c in enumerate(sequences)]
        add("count_elements", uses, [], [kernel.Argument("elements", count, "int32")])
        uses = [Use(column=c, sink=SequenceNumbers(), ints={"sequence": k}) for k, c in enumerate(sequences)]
        flat = [kernel.Argument("numbers", ("nnz",), "float32")]
        add("sequence_numbers", uses, [kernel.Argument("starts", count, "int64")], flat)
    functions |= prim_funcs(procedures_of([*columns, *producers.values()]))
    return tvm.IRModule(functions), layouts
