"""The kernels of a feature program, whose results are the features themselves: counts, ids, numbers.

Ragged ids need two kernels, because their number is known only after counting:

    count_ids  -> lengths (id features, rows)                  starts = running sum of lengths, on the host
    emit_ids   (starts) -> values (nnz,), weights (nnz,)
    numbers    -> dense (rows, all widths)

Sequences add how many elements a row has, and the numbers of elements are ragged too:

    count_ids  -> ..., elements (id sequences, rows)           element_starts = their running sum
    emit_ids   (..., element_starts) -> ..., key_lengths (elements,)
    count_elements -> elements (number sequences, rows)        starts = running sum of elements * width
    sequence_numbers (starts) -> numbers (nnz,)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tvm

from te_schedules import check_columns
from te_schedules.column_group import kernel, sinks
from te_schedules.column_group.layout import Layout, Use
from te_schedules.column_group.op import dimension
from te_schedules.column_group.producers import lay_out_with_producers
from te_schedules.column_group.sequences import CountSequence, RaggedSequence, SequenceNumbers
from te_schedules.feature import Column
from te_schedules.feature.kind import procedures_of
from te_schedules.procedure import prim_funcs


def id_uses(columns: Sequence[Column], sink: sinks.Count | sinks.Ragged) -> list[Use]:
    """The uses of `count_ids` or `emit_ids`: column k is row k of `lengths` and `starts`."""
    sequence_sink = CountSequence(ids=True) if isinstance(sink, sinks.Count) else RaggedSequence()
    uses: list[Use] = []
    sequences = 0
    for k, column in enumerate(columns):
        if column.sequence is None:
            uses.append(Use(column=column, sink=sink, ints={"out": k}))
        else:
            uses.append(Use(column=column, sink=sequence_sink, ints={"out": k, "sequence": sequences}))
            sequences += 1
    return uses


def number_uses(columns: Sequence[Column]) -> list[Use]:
    """The uses of `numbers`: the columns lie side by side."""
    places, out = [], 0
    for column in columns:
        places.append(out)
        out += dimension(column)
    return [Use(column=column, sink=sinks.Numbers(), ints={"out": at}) for column, at in zip(columns, places, strict=True)]


def module(
    columns: Sequence[Column], producers: Mapping[str, Column], fields: int, knobs: kernel.Knobs
) -> tuple[tvm.IRModule, dict[str, Layout]]:
    """The kernels of a program, and the constant vectors that each of them takes. `producers`: what the columns read by name."""
    ids = [column for column in columns if column.kind.yields_ids]
    numbers = [column for column in columns if not column.kind.yields_ids and column.sequence is None]
    sequences = [column for column in columns if not column.kind.yields_ids and column.sequence is not None]
    layouts, functions = {}, {"check_columns": check_columns.prim_func()}

    def add(name: str, uses: Sequence[Use], inputs: list[kernel.Argument], outputs: list[kernel.Argument]) -> None:
        layout = lay_out_with_producers(uses, producers, fields)
        status = kernel.Argument("status", (max(1, len(layout.refusals)),), "int64")
        layouts[name] = layout
        functions[name] = kernel.build(name, f"rank.{name}", layout, fields, inputs, [*outputs, status], rows="rows", knobs=knobs)

    if ids:
        counts, starts, flat = _id_arguments(len(ids), sum(column.sequence is not None for column in ids))
        add("count_ids", id_uses(ids, sinks.Count()), [], counts)
        add("emit_ids", id_uses(ids, sinks.Ragged()), starts, flat)
    if numbers:
        width = sum(dimension(column) for column in numbers)
        add("numbers", number_uses(numbers), [], [kernel.Argument("out0", ("rows", width), "float32")])
    if sequences:
        count = (len(sequences), "rows")
        uses = [Use(column=c, sink=CountSequence(ids=False), ints={"sequence": k}) for k, c in enumerate(sequences)]
        add("count_elements", uses, [], [kernel.Argument("elements", count, "int32")])
        uses = [Use(column=c, sink=SequenceNumbers(), ints={"sequence": k}) for k, c in enumerate(sequences)]
        flat = [kernel.Argument("numbers", ("nnz",), "float32")]
        add("sequence_numbers", uses, [kernel.Argument("starts", count, "int64")], flat)
    functions |= prim_funcs(procedures_of(producers.values()))
    return tvm.IRModule(functions), layouts


def _id_arguments(ids: int, sequences: int) -> tuple[list[kernel.Argument], ...]:
    """The outputs of `count_ids`, the inputs and the outputs of `emit_ids`."""
    counts = [kernel.Argument("lengths", (ids, "rows"), "int32")]
    starts = [kernel.Argument("starts", (ids, "rows"), "int64")]
    flat = [kernel.Argument("values", ("nnz",), "int64"), kernel.Argument("weights", ("nnz",), "float32")]
    if sequences:
        counts.append(kernel.Argument("elements", (sequences, "rows"), "int32"))
        starts.append(kernel.Argument("element_starts", (sequences, "rows"), "int64"))
        flat.append(kernel.Argument("key_lengths", ("elements",), "int32"))
    return counts, starts, flat
