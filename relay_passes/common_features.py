"""Compute equal features once, whatever their names are: the same chain on the same columns, and what is looked up by its ids.

    a = rank.id_feature(item_columns, ...) {column: a}          a = rank.id_feature(item_columns, ...) {column: a}
    b = rank.id_feature(item_columns, ...) {column: b}    ->    x = rank.lookup(a, stack_8) {table_row: 0}
    x = rank.lookup(a, stack_8) {table_row: 0}                  y = rank.lookup(a, stack_16) {table_row: 0}
    y = rank.lookup(b, stack_16) {table_row: 0}

Two features are equal when their types, fields, constants and arrays are, and when they read the same features: all but their names. A
prefix is an array, so features that hash their own names stay apart. A refused row is reported under the name of the first of them.
`LowerColumns` then makes the ids once for all their lookups.
"""

from __future__ import annotations

import json
from typing import Any

import tvm
from tvm import relax

from relay_passes.graph import dataflow, op_name, with_bindings
from te_schedules.column_group import op, op_sequences

OTHERS = (op.LOOKUP, op.FIRST_ID, *op_sequences.NAMES, "relax.take", "relax.concat")
_NAMES = ("name", "table")  # what an attribute says for readers of messages alone


@tvm.transform.module_pass(opt_level=0, name="rank.CommonFeatures")
class CommonFeatures:
    """See the module's text. `function` is the one to rewrite."""

    def __init__(self, function: str = "main"):
        self.function = function

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten; unchanged when everything differs."""
        block = dataflow(mod[self.function])
        finder = _Finder()
        bindings = [] if block is None else [finder.taken(binding) for binding in block.bindings]
        if not finder.same:
            return mod
        return relax.transform.CanonicalizeBindings()(with_bindings(mod, self.function, bindings))


class _Finder:
    """Walks over bindings. `same`: a variable -> the earlier one of the same value."""

    def __init__(self) -> None:
        self.same: dict[relax.Expr, relax.Var] = {}
        self.known: dict[tuple, relax.Var] = {}
        self.names: dict[relax.Expr, str] = {}  # of features

    def taken(self, binding: relax.Binding) -> relax.Binding:
        """What becomes of a binding: a value that is there already is given another name, which is gone behind the pass."""
        var, value = binding.var, binding.value
        if op.is_feature(value):
            value = self._renamed(value)
        elif op_name(value) not in OTHERS:
            return binding
        first = self.known.setdefault(self._key(value), var)
        if first is not var:
            self.same[var] = first
            return relax.VarBinding(var, first)
        if op.is_feature(value):
            self.names[var] = json.loads(str(value.attrs["column"]))["name"]
        return relax.VarBinding(var, value)

    def _first(self, value: relax.Expr) -> relax.Expr:
        return self.same.get(value, value)

    def _renamed(self, call: relax.Call) -> relax.Call:
        """The call of a feature with the names of the features that it reads, as they are now."""
        inputs = op.inputs_of(call)
        column = json.loads(str(call.attrs["column"]))
        names = [self.names[self._first(value)] for value in inputs]
        if names == column["inputs"]:
            return call
        attrs = tvm.ir.make_node("ir.DictAttrs", column=json.dumps(column | {"inputs": names}, sort_keys=True))
        return relax.Call(call.op, call.args, attrs=attrs)

    def _key(self, call: relax.Call) -> tuple:
        """What equal values have in common."""
        return (op_name(call), self._attributes(call), *map(self._argument, call.args))

    @staticmethod
    def _attributes(call: relax.Call) -> str:
        if op_name(call) in ("relax.take", "relax.concat"):
            return f"{call.attrs.axis} {getattr(call.attrs, 'mode', '')}"
        attributes = {} if call.attrs is None else {str(name): str(call.attrs[name]) for name in call.attrs.keys()}  # noqa: SIM118
        if "column" in attributes:
            attributes = json.loads(attributes["column"])
        return json.dumps({name: value for name, value in attributes.items() if name not in _NAMES}, sort_keys=True)

    def _argument(self, value: relax.Expr) -> Any:
        if isinstance(value, relax.Tuple):
            return tuple(map(self._argument, value.fields))
        if isinstance(value, tvm.ir.GenericConst):
            array = value.value.numpy()
            return str(array.dtype), array.shape, array.tobytes()
        if isinstance(value, relax.ShapeExpr):
            return str(value)
        return self._first(value)
