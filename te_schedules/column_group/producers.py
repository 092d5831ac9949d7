"""Features that other features read: which are needed, in which order, and where their descriptors lie.

    consumer fields = [3, -1]  inputs = ("x",)      ->     fields = [3, F + slot of x]      F: rows of the call's descriptor table

Producers come in levels: those of level 0 read columns only. Their uses have lower levels than the uses of all that read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from te_schedules.column_group.copies import Copy
from te_schedules.column_group.layout import Layout, Use, lay_out
from te_schedules.column_group.materialize import NUMBERS, TEXTS, Materialize, kept_values
from te_schedules.feature import Column


def lay_out_with_producers(
    uses: Sequence[Use], producers: Mapping[str, Column], fields: int, copies: Sequence[Copy] = ()
) -> Layout:
    """The layout of these uses and of the producers that they read, directly or not. `fields`: rows of the descriptor table."""
    order: list[str] = []
    for use in uses:
        for name in use.column.inputs:
            _visit(name, producers, order)
    slots = {name: slot for slot, name in enumerate(order)}
    levels: dict[str, int] = {}
    made = []
    for name in order:
        column = producers[name]
        levels[name] = _level(column, levels)
        made.append(
            Use(column=column, sink=_sink(column), ints={"slot": slots[name]}, level=levels[name], can_refuse=bool(column.fields))
        )
    read = [replace(use, level=_level(use.column, levels)) for use in uses]
    return lay_out([_placed(use, slots, fields) for use in (*made, *read)], made=len(order), copies=copies)


def _visit(name: str, producers: Mapping[str, Column], order: list[str]) -> None:
    """Append `name` behind what it reads; the loader has seen that there is no circle."""
    if name not in order:
        for other in producers[name].inputs:
            _visit(other, producers, order)
        order.append(name)


def _level(column: Column, levels: Mapping[str, int]) -> int:
    return max((levels[name] + 1 for name in column.inputs), default=0)


def _sink(column: Column) -> Materialize:
    values = kept_values(column.kind)
    single = {TEXTS: column.ints.get("single") == 1, NUMBERS: column.ints.get("dimension", 1) == 1}.get(values, False)
    return Materialize(values=values, single=single)


def _placed(use: Use, slots: Mapping[str, int], fields: int) -> Use:
    """The use with the number of the descriptor of each field."""
    column = use.column
    return replace(use, fields=tuple(f if f >= 0 else fields + slots[column.inputs[-f - 1]] for f in column.fields))
