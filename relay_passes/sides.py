"""Which side each value of a graph depends on: nothing, the request alone, the item alone, or both.

    u = rank.id_feature(request_columns, ...)            request
    t = take(u, item_request)                            request, although it has a row for each item
    i = rank.id_feature(item_columns, ...)               item
    x = rank.combo_feature(item_columns, ...)            crossed, when a field of it is the user's
    h = concat((t, i))                                   crossed

An analysis, not a rewrite: passes and `tvm-rank inspect --plan` read it. The rows of a value (R or N) are in its type; a value of the
request side with N rows is work that is done N / R times too often.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntFlag

from tvm import relax

from te_schedules.column_group import op

CROSSED_FIELDS = "rank.crossed_fields"  # function attribute: the rows of item_columns that are request fields (JSON)
REQUEST_COLUMNS, ITEM_COLUMNS = "request_columns", "item_columns"
ITEM_ROWS = "item_rows"  # the row of the item store of each item


class Side(IntFlag):
    """What a value depends on; the union of two sides is the side of a value made of both."""

    CONSTANT = 0
    REQUEST = 1
    ITEM = 2
    CROSSED = 3

    def __str__(self) -> str:
        return str(self.name).lower()


def infer(function: relax.Function, known: Mapping[relax.Var, Side] | None = None) -> dict[relax.Var, Side]:
    """The side of every variable of a function.

    known: sides of parameters, in place of those by name: request_columns is of the request, item_columns of the item, all others
    (tables, the row map, weights) are constant.
    """
    attribute = function.attrs[CROSSED_FIELDS] if function.attrs and CROSSED_FIELDS in function.attrs else "[]"
    return _Inference(set(json.loads(str(attribute)))).run(function, known)


class _Inference:
    def __init__(self, crossed: set[int]):
        self.crossed = crossed
        self.sides: dict[relax.Var, Side] = {}

    def run(self, function: relax.Function, known: Mapping[relax.Var, Side] | None) -> dict[relax.Var, Side]:
        by_name = {REQUEST_COLUMNS: Side.REQUEST, ITEM_COLUMNS: Side.ITEM, ITEM_ROWS: Side.ITEM}
        for param in function.params:
            self.sides[param] = (known or {}).get(param, by_name.get(param.name, Side.CONSTANT))
        for block in function.body.blocks:
            for binding in block.bindings:
                self.sides[binding.var] = self._of(binding.value)
        return self.sides

    def _of(self, value: relax.Expr) -> Side:
        """The union of the sides of what a value reads."""
        if op.is_feature(value):
            return self._of_feature(value)
        side = Side.CONSTANT
        for var in relax.analysis.free_vars(value):
            side |= self.sides.get(var, Side.CONSTANT)  # symbolic dimensions have no side
            if var.name == ITEM_COLUMNS and self.crossed:
                side |= Side.REQUEST  # a kernel of many features, some of which are crossed
        return side

    def _of_feature(self, call: relax.Call) -> Side:
        """The sides of a feature's own fields, and of the features that it reads."""
        table, side = self.sides.get(call.args[0], Side.CONSTANT), Side.CONSTANT
        for number in op.decode(call).fields:
            side |= Side.REQUEST if table is Side.ITEM and number in self.crossed else table
        for read in op.inputs_of(call):
            side |= self.sides[read]
        return side
