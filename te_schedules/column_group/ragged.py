"""The kernels of a feature program, whose results are the features themselves: counts, ids, numbers.

Ragged ids need two kernels, because their number is known only after counting:

    count_ids  -> lengths (id features, rows)                  starts = running sum of lengths, on the host
    emit_ids   (starts) -> values (nnz,), weights (nnz,)
    numbers    -> dense (rows, all widths)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tvm

from te_schedules import check_columns
from te_schedules.column_group import kernel, sinks
from te_schedules.column_group.layout import Layout, Use
from te_schedules.column_group.op import dimension
from te_schedules.column_group.producers import lay_out_with_producers
from te_schedules.feature import Column
from te_schedules.feature.kind import procedures_of
from te_schedules.procedure import prim_funcs


def id_uses(columns: Sequence[Column], sink: sinks.Count | sinks.Ragged) -> list[Use]:
    """The uses of `count_ids` or `emit_ids`: column k is row k of `lengths` and `starts`."""
    return [Use(column=column, sink=sink, ints={"out": k}) for k, column in enumerate(columns)]


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
    numbers = [column for column in columns if not column.kind.yields_ids]
    layouts, functions = {}, {"check_columns": check_columns.prim_func()}

    def add(name: str, uses: Sequence[Use], inputs: list[kernel.Argument], outputs: list[kernel.Argument]) -> None:
        layout = lay_out_with_producers(uses, producers, fields)
        status = kernel.Argument("status", (max(1, len(layout.refusals)),), "int64")
        layouts[name] = layout
        functions[name] = kernel.build(name, f"rank.{name}", layout, fields, inputs, [*outputs, status], rows="rows", knobs=knobs)

    if ids:
        lengths = kernel.Argument("lengths", (len(ids), "rows"), "int32")
        add("count_ids", id_uses(ids, sinks.Count()), [], [lengths])
        starts = kernel.Argument("starts", (len(ids), "rows"), "int64")
        flat = [kernel.Argument("values", ("nnz",), "int64"), kernel.Argument("weights", ("nnz",), "float32")]
        add("emit_ids", id_uses(ids, sinks.Ragged()), [starts], flat)
    if numbers:
        width = sum(dimension(column) for column in numbers)
        add("numbers", number_uses(numbers), [], [kernel.Argument("out0", ("rows", width), "float32")])
    functions |= prim_funcs(procedures_of(producers.values()))
    return tvm.IRModule(functions), layouts
