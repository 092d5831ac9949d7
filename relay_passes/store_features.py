"""Read what features of the item alone give from a store of items, in place of computing it.

    a = rank.id_feature(item_columns (F), ...)                 a' = rank.kept_values(item_columns (F + 1)) {fields: [F]}
    x = rank.lookup(a, stack_8)                        ->      x = rank.lookup(a', stack_8)

The ids of such a feature (with their weights), or its numbers, are one more field of the items, behind those that there are; the function
attribute `rank.kept` says which. What other features read of it is computed as before. The texts of features, and numbers and weighted
ids of sequences, are not stored. `kept_program` are the columns that compute what is stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import tvm
from tvm import relax

from relay_passes.column_kernel import ALL_IDS
from relay_passes.graph import dataflow, with_bindings
from relay_passes.materialize_items import READ_FIELDS
from relay_passes.sides import ITEM_COLUMNS, Side, infer
from te_schedules.column_group import op
from te_schedules.feature import Column, KeptKind

KEPT = "rank.kept"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A feature whose values are stored: ids in [0, `id_space`), or `width` numbers for each item (`id_space` 0)."""

    name: str
    id_space: int
    weighted: bool
    is_sequence: bool
    width: int
    most: int  # ids of a row


@tvm.transform.module_pass(opt_level=0, name="rank.StoreFeatures")
class StoreFeatures:
    """See the module's text. `function` is the one to rewrite."""

    def __init__(self, function: str = "main"):
        self.function = function

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten; unchanged when no feature can be stored."""
        found = _stored(mod, self.function)
        if not found:
            return mod
        function = mod[self.function]
        (block,) = function.body.blocks
        old = next(param for param in function.params if param.name == ITEM_COLUMNS)
        fields, words = (int(extent) for extent in old.ty.shape.values)
        table = relax.Var(ITEM_COLUMNS, relax.TensorType([fields + len(found), words], old.ty.dtype))
        changed: dict[relax.Expr, relax.Expr] = {old: table}
        bindings: list[relax.Binding] = []
        for binding in block.bindings:
            is_feature = op.is_feature(binding.value)
            value = _swapped(binding.value, {old: table} if is_feature else changed)
            bindings.append(relax.VarBinding(binding.var, value) if isinstance(binding, relax.VarBinding) else binding)
            if binding.var in found:
                number = list(found).index(binding.var)
                call = op.feature(table, value.args[1].values[0], _kept_column(found[binding.var], fields + number))
                changed[binding.var] = relax.DataflowVar(f"{found[binding.var].name}_kept", binding.var.ty)
                bindings.append(relax.VarBinding(changed[binding.var], relax.BlockBuilder().normalize(call)))
        params = [changed.get(param, param) for param in function.params]
        body = relax.SeqExpr([relax.DataflowBlock(bindings)], function.body.body)
        mod = mod.clone()
        mod[self.function] = relax.Function(params, body, function.ret_ty, function.is_pure, function.attrs)
        mod = with_bindings(mod, self.function, bindings)
        kept = [asdict(_description(column)) for column in found.values()]
        attrs = {KEPT: json.dumps(kept), READ_FIELDS: json.dumps(_read_fields(mod[self.function]))}
        mod[self.function] = mod[self.function].with_attrs(attrs)
        return mod


def kept_program(mod: tvm.IRModule, function: str = "main") -> tuple[list[Column], dict[str, Column]]:
    """(the columns whose values `StoreFeatures` stores for this module, in its order; what they read, by name)."""
    values = {binding.var: binding.value for binding in mod[function].body.blocks[0].bindings}
    found = _stored(mod, function)
    producers: dict[str, Column] = {}
    waiting = [value for var in found for value in op.inputs_of(values[var])]
    while waiting:
        call = values[waiting.pop()]
        column = op.decode(call)
        if column.name not in producers:
            producers[column.name] = column
            waiting += op.inputs_of(call)
    return list(found.values()), producers


def kept_of(mod: tvm.IRModule, function: str = "main") -> tuple[Kept, ...]:
    """What is stored, as the function's attribute says."""
    attrs = mod[function].attrs
    return tuple(Kept(**entry) for entry in json.loads(str(attrs[KEPT]))) if attrs and KEPT in attrs else ()


def _stored(mod: tvm.IRModule, function: str) -> dict[relax.Expr, Column]:
    """The features of the item alone that anything but features reads, and whose values have a stored form."""
    block = dataflow(mod[function])
    if block is None:
        return {}
    sides = infer(mod[function])
    read = {
        var for binding in block.bindings if not op.is_feature(binding.value) for var in relax.analysis.free_vars(binding.value)
    }
    found: dict[relax.Expr, Column] = {}
    for binding in block.bindings:
        if binding.var in read and op.is_feature(binding.value) and sides[binding.var] is Side.ITEM:
            column = op.decode(binding.value)
            if _has_form(column):
                found[binding.var] = column
    return found


def _has_form(column: Column) -> bool:
    kind = column.kind
    if kind.yields_texts or isinstance(kind, KeptKind):
        return False
    if column.sequence is not None:
        return kind.yields_ids and not kind.has_weights and "id_space" in column.ints
    return "id_space" in column.ints if kind.yields_ids else True


def _description(column: Column) -> Kept:
    return Kept(
        name=column.name,
        id_space=column.ints["id_space"] if column.kind.yields_ids else 0,
        weighted=column.kind.has_weights,
        is_sequence=column.sequence is not None,
        width=0 if column.kind.yields_ids else op.dimension(column),
        most=column.ints.get("limit", 0),
    )


def _kept_column(column: Column, field: int) -> Column:
    """The column that reads the stored values of another one. Limits and defaults are in them."""
    ids = column.kind.yields_ids
    ints = {"limit": ALL_IDS, "id_space": column.ints["id_space"]} if ids else {"dimension": op.dimension(column)}
    elements = ("sequence_length", "sequence_delim") if column.sequence is not None else ()
    return Column(
        name=column.name,
        kind=KeptKind(ids=ids, weighted=column.kind.has_weights),
        fields=(field,),
        sequence=None if column.sequence is None else (True,),
        ints=ints | {name: column.ints[name] for name in elements},
        arrays={"default_ids": np.zeros(0, np.int64)} if ids else {},
    )


def _swapped(value: relax.Expr, changed: Mapping[relax.Expr, relax.Expr]) -> relax.Expr:
    """A value in normal form with other variables."""
    if isinstance(value, relax.Var):
        return changed.get(value, value)
    if isinstance(value, relax.Tuple):
        return relax.Tuple([_swapped(field, changed) for field in value.fields])
    if isinstance(value, relax.TupleGetItem):
        return relax.TupleGetItem(_swapped(value.tuple_value, changed), value.index)
    if isinstance(value, relax.Call):
        return relax.Call(value.op, [_swapped(arg, changed) for arg in value.args], attrs=value.attrs, ty_args=value.ty_args)
    return value


def _read_fields(function: relax.Function) -> list[int]:
    """The rows of item_columns that features read."""
    calls = [binding.value for binding in function.body.blocks[0].bindings if op.is_feature(binding.value)]
    return sorted({field for call in calls if call.args[0].name == ITEM_COLUMNS for field in op.decode(call).fields if field >= 0})


__all__ = ["KEPT", "Kept", "StoreFeatures", "kept_of", "kept_program"]
