"""Features, lookups and the dense model in one Relax function.

    main(request_columns (fields, WORDS), item_columns (fields, WORDS), rows: Shape [R, N], item_request (N,) int32, stack_<dim> ...)

R rows of user and context fields, N items, `item_request[n]` the row of item n. What depends on the request alone is computed with
R rows and taken to the items where it meets them; the passes push that `take` as late as they can.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx

from relay_passes.sides import CROSSED_FIELDS
from te_schedules.column import WORDS
from te_schedules.column_group import op, op_sequences
from te_schedules.column_group.table_format import TableFormat
from te_schedules.feature import Column
from tvm_rank.config.dag import in_order
from tvm_rank.config.spec import Feature, FeatureConfig
from tvm_rank.frontend.binding import Binding
from tvm_rank.frontend.dense_model import DenseModel
from tvm_rank.frontend.tables import Stack
from tvm_rank.lowering import column_of, made_beside
from tvm_rank.lowering.fields import FieldTable
from tvm_rank.runtime.columns import FieldUse


@dataclass(frozen=True, kw_only=True)
class RankGraph:
    """The module, and the fields of its two descriptor tables by row."""

    mod: tvm.IRModule
    request_uses: tuple[FieldUse, ...]
    item_uses: tuple[FieldUse, ...]


def build_graph(config: FeatureConfig, bindings: Sequence[Binding], stacks: Sequence[Stack], model: DenseModel) -> RankGraph:
    """The graph of a whole ranking model; bindings are in the order of the model's inputs."""
    return _Builder(config, stacks).build(bindings, model)


class _Builder:
    def __init__(self, config: FeatureConfig, stacks: Sequence[Stack]):
        self.config = config
        self.request, self.item = tirx.Var("R", "int64"), tirx.Var("N", "int64")
        self.tables: dict[str, tuple[int, relax.Var, TableFormat]] = {}  # first row, stack, form of its rows
        self.stacks = []
        for stack in stacks:
            var = relax.Var(stack.label, relax.TensorType(list(stack.shape), stack.dtype.name))
            self.stacks.append(var)
            form = TableFormat(stack.precision, stack.dim)
            self.tables |= {name: (row, var, form) for name, row in zip(stack.names, stack.row_offsets, strict=True)}
        self.bb = relax.BlockBuilder()
        self.emitted: dict[tuple[str, bool], relax.Var] = {}

    def build(self, bindings: Sequence[Binding], model: DenseModel) -> RankGraph:
        fields = {side: FieldTable(self.config.features) for side in (True, False)}
        columns: dict[tuple[str, bool], Column] = {}
        for feature, side in self._needed(bindings):
            columns[feature.name, side] = column_of(feature, fields[side], self.config.hash_function)
        for side, table in fields.items():
            columns |= {(name, side): column for name, column in made_beside(table).items()}
        self.columns: Mapping[tuple[str, bool], Column] = columns
        self.sides = {
            side: relax.Var(name, relax.TensorType([max(1, len(fields[side].uses)), WORDS], "int64"))
            for side, name in ((True, "request_columns"), (False, "item_columns"))
        }
        rows = relax.Var("rows", relax.ShapeType([self.request, self.item]))
        self.item_request = relax.Var("item_request", relax.TensorType([self.item], "int32"))
        params = [self.sides[True], self.sides[False], rows, self.item_request, *self.stacks]
        bb = self.bb
        crossed = json.dumps([k for k, use in enumerate(fields[False].uses) if use.is_request])
        with bb.function("main", params, attrs={"global_symbol": "main", CROSSED_FIELDS: crossed}):
            with bb.dataflow():
                result = self._dense(model, [self._input(binding) for binding in bindings])
                out = bb.emit_output(relax.Tuple([relax.TupleGetItem(result, k) for k in range(len(model.outputs))]))
            bb.emit_func_output(out)
        mod = bb.get()
        return RankGraph(mod=mod, request_uses=fields[True].uses, item_uses=fields[False].uses)

    def _needed(self, bindings: Sequence[Binding]) -> list[tuple[Feature, bool]]:
        """(feature, whether over request rows) of all that the model reads, directly or not.

        What a feature of the items reads is computed over the items' descriptor table, in the same kernel.
        """
        known = {feature.name: feature for feature in self.config.features}
        waiting = [(feature.name, feature.is_request) for binding in bindings for feature in binding.features]
        needed = set(waiting)
        while waiting:
            name, side = waiting.pop()
            found = {(other, side) for other in known[name].feature_inputs} - needed
            needed |= found
            waiting += found
        return [(f, side) for f in in_order(self.config.features) for side in (True, False) if (f.name, side) in needed]

    def _dense(self, model: DenseModel, inputs: list[relax.Expr]) -> relax.Expr:
        """The dense model over its inputs, its batch our N; the tuple of its outputs.

        Its bindings are emitted here, one by one: TVM's own inlining leaves the N in the target shape of a reshape undefined.
        """
        function = model.mod["main"]
        function = function.bind_symbolic_vars({var: self.item for var in relax.analysis.defined_symbolic_vars(function)})
        known: dict[relax.Expr, relax.Expr] = dict(zip(function.params, inputs, strict=True))
        for var, other in model.mod.functions_items():
            if var.name_hint != "main":
                known[var] = self.bb.add_func(other, var.name_hint)
        for binding in (binding for block in function.body.blocks for binding in block.bindings):
            value = _replaced(binding.value, known)
            if isinstance(binding, relax.MatchCast):
                known[binding.var] = self.bb.match_cast(value, binding.ty)
            else:
                known[binding.var] = self.bb.emit(value, binding.var.name)
        return _replaced(function.body.body, known)

    def _input(self, binding: Binding) -> relax.Expr:
        """The value of a model input: runs of features of one side, side by side along the last axis."""
        if binding.kind in ("mask", "length"):
            return self._beside(binding)
        if binding.kind == "lookup":
            return self._model_lookup(binding)
        runs = []
        axis = 2 if binding.kind == "elements" else 1
        for is_request, members in groupby(binding.features, key=lambda feature: feature.is_request):
            parts = [self._value(feature, binding.kind) for feature in members]
            run = parts[0] if len(parts) == 1 else self.bb.emit(relax.op.concat(parts, axis=axis))
            runs.append(self.bb.emit(relax.op.take(run, self.item_request, axis=0, mode="clip")) if is_request else run)
        whole = runs[0] if len(runs) == 1 else self.bb.emit(relax.op.concat(runs, axis=axis))
        return whole if binding.input.shape else self.bb.emit(relax.op.squeeze(whole, axis=[1]))

    def _value(self, feature: Feature, kind: str) -> relax.Var:
        """The feature as (rows, width): its embedding, its numbers, or its first id."""
        ids = self._emit(feature.name, feature.is_request)
        if kind == "id":
            return self.bb.emit(op.first_id(ids), feature.name)
        if kind in ("elements", "element_ids"):
            return self.bb.emit(self._elements(feature, kind, ids))
        if feature.embedding is None:
            return ids
        row, stack, form = self.tables[feature.embedding.table]
        call = op.lookup(ids, stack, form, combiner=feature.embedding.combiner, table=feature.embedding.table, table_row=row)
        return self.bb.emit(call)

    def _elements(self, feature: Feature, kind: str, values: relax.Var) -> relax.Call:
        """The elements of a sequence as (rows, length, width), or their ids (rows, length)."""
        assert feature.sequence is not None, "the binding has seen that it is a sequence"
        length = feature.sequence.length
        if kind == "element_ids":
            return op_sequences.ids(values, length)
        if feature.embedding is None:
            return op_sequences.numbers(values, length, feature.numbers)
        embedding = feature.embedding
        row, stack, form = self.tables[embedding.table]
        return op_sequences.lookup(
            values, stack, form, combiner=embedding.combiner, table=embedding.table, table_row=row, length=length
        )

    def _model_lookup(self, binding: Binding) -> relax.Expr:
        """Rows of a table that was inside of the model, by the ids that a feature gives."""
        (feature,), entry, lookup = binding.features, binding.input, binding.input.lookup
        assert lookup is not None, "of this kind"
        row, stack, form = self.tables[lookup.table]
        ids = self._emit(feature.name, feature.is_request)
        place: dict[str, Any] = {"combiner": lookup.combiner, "table": lookup.table, "table_row": row}
        if len(entry.shape) == 2:
            found = self.bb.emit(op_sequences.lookup(ids, stack, form, length=entry.shape[0], **place))
        else:
            found = self.bb.emit(op.lookup(ids, stack, form, filled=lookup.filled, **place))
        return self.bb.emit(relax.op.take(found, self.item_request, axis=0, mode="clip")) if feature.is_request else found

    def _beside(self, binding: Binding) -> relax.Expr:
        """How many elements a sequence has, or where it has one."""
        (feature,), entry, emit = binding.features, binding.input, self.bb.emit
        counts = emit(op_sequences.length_of(self._emit(feature.name, feature.is_request)))
        if feature.is_request:
            counts = emit(relax.op.take(counts, self.item_request, axis=0, mode="clip"))
        if binding.kind == "mask":
            places = relax.const(np.arange(entry.shape[0], dtype=np.int64)[None, :])
            return emit(relax.op.astype(emit(relax.op.less(places, counts)), entry.dtype))
        counts = emit(relax.op.astype(counts, entry.dtype)) if entry.dtype != "int64" else counts
        return counts if entry.shape else emit(relax.op.squeeze(counts, axis=[1]))

    def _emit(self, name: str, side: bool) -> relax.Var:
        """The feature operator over request rows (True) or items, once for each, behind those that it reads."""
        if (name, side) not in self.emitted:
            column, rows = self.columns[name, side], self.request if side else self.item
            inputs = [self._emit(other, side) for other in column.inputs]
            self.emitted[name, side] = self.bb.emit(op.feature(self.sides[side], rows, column, inputs))
        return self.emitted[name, side]


def _replaced(value: relax.Expr, known: Mapping[relax.Expr, relax.Expr]) -> relax.Expr:
    """A value in normal form with its variables (also of functions) replaced; constants and shapes are as they were."""
    if isinstance(value, (relax.Var, relax.GlobalVar)):
        return known[value]
    if isinstance(value, relax.Tuple):
        return relax.Tuple([_replaced(field, known) for field in value.fields])
    if isinstance(value, relax.TupleGetItem):
        return relax.TupleGetItem(_replaced(value.tuple_value, known), value.index)
    if isinstance(value, relax.Call):
        target = known.get(value.op, value.op) if isinstance(value.op, relax.GlobalVar) else value.op
        arguments = [_replaced(argument, known) for argument in value.args]
        return relax.Call(target, arguments, attrs=value.attrs, ty_args=value.ty_args)
    return value
