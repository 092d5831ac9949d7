"""Lower the feature part of a graph to one kernel per descriptor table, in column groups, writing in place what is concatenated.

    a = rank.id_feature(item_columns, ...)        outs = call_tir(item_features, (item_columns, ..., stack_16),
    b = rank.lookup(a, stack_16)                                  out: (Tensor((N, 20)), status))
    c = rank.raw_feature(item_columns, ...)   ->  d = outs[0]
    d = concat((b, c), axis=1)                    return (..., outs[1])
    return (...)

Lookups and numbers that feed one concat only, also one inside of another, are written straight into it. The others lie side by side
in one tensor for each dtype, and slices of it take their place: the code of a kernel grows with the kinds of its features times the
tensors that it writes, so these are few. Ids exist only in registers and a small queue.
The function returns a tuple; for each kernel a `status` vector is appended to it: 0, or 1 + the row at which the batch is refused.
The function attribute `rank.refusals` names the feature of each status element, kernel by kernel, `rank.groups` the column groups.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import relax

from te_schedules.column_group import kernel, op, op_sequences, padded, sinks
from te_schedules.column_group.layout import Use
from te_schedules.column_group.pool import Pool
from te_schedules.column_group.producers import lay_out_with_producers
from te_schedules.feature import Column
from te_schedules.feature.kind import procedures_of
from te_schedules.procedure import prim_funcs

REFUSALS = "rank.refusals"
GROUPS = "rank.groups"


@dataclass(eq=False)
class _Output:
    """One tensor that a kernel writes: the variables of its parts in column order, and the one that stands for all columns, if any."""

    parts: list[relax.Var]
    root: relax.Var | None

    def values(self, tensor: relax.Var) -> dict[relax.Var, relax.Expr]:
        """What becomes of the variables of the function, given the tensor."""
        if self.root is not None:
            return {self.root: tensor}
        slices, first = {}, 0
        for part in self.parts:
            end, axis = first + int(part.ty.shape.values[-1]), part.ty.ndim - 1
            slices[part] = relax.op.strided_slice(tensor, axes=[axis], begin=[first], end=[end], assume_inbound=True)
            first = end
        return slices


@dataclass(eq=False)
class _Group:
    """All outputs that come from one descriptor table."""

    columns: relax.Var
    rows: relax.Expr
    outputs: list[_Output] = field(default_factory=list)


@tvm.transform.module_pass(opt_level=0, name="rank.LowerColumns")
class LowerColumns:
    """See the module's text. `function` is the one to rewrite, `knobs` the schedule of its kernels."""

    def __init__(self, function: str = "main", knobs: kernel.Knobs | None = None):
        self.function, self.knobs = function, knobs or kernel.Knobs()

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten and its kernels added; unchanged when it has no feature operators."""
        if self.function not in [var.name_hint for var in mod.get_global_vars()]:
            return mod
        graph = _Graph(mod[self.function])
        groups = graph.groups()
        if not groups:
            return mod
        builder = relax.BlockBuilder(mod)
        bindings: list[relax.VarBinding] = []
        replaced: dict[relax.Var, relax.Expr] = {}
        statuses, refusals, described, columns = [], [], [], []
        for group in groups:
            lowered = _Kernel(graph, group)
            side = group.columns.name.removesuffix("_columns") if self.function == "main" else self.function
            name = f"{side}_features"
            target = builder.add_func(lowered.prim_func(name, self.knobs), name)
            outs = relax.DataflowVar(name + "_out", lowered.out_type())
            bindings.append(relax.VarBinding(outs, lowered.call(target)))
            for k, output in enumerate(group.outputs):
                tensor = relax.DataflowVar(f"{name}_{k}", outs.ty.fields[k])
                bindings.append(relax.VarBinding(tensor, relax.TupleGetItem(outs, k)))
                replaced |= output.values(tensor)
            statuses.append(relax.TupleGetItem(outs, len(group.outputs)))
            refusals.append(list(lowered.layout.refusals))
            described += [{"kernel": name, **section} for section in lowered.describe()]
            columns += lowered.columns
        mod = builder.get()
        known = {var.name_hint for var in mod.get_global_vars()}  # a procedure's name stands for its code
        procedures = prim_funcs(procedures_of(columns))
        mod.update(tvm.IRModule({name: made for name, made in procedures.items() if name not in known}))
        mod[self.function] = graph.rewritten(bindings, replaced, statuses).with_attrs(
            {REFUSALS: json.dumps(refusals), GROUPS: json.dumps(described)}
        )
        return relax.transform.DeadCodeElimination([self.function])(relax.transform.Normalize()(mod))


class _Graph:
    """A function of one dataflow block, with the definitions and uses of its variables."""

    def __init__(self, function: relax.Function):
        self.function = function
        (self.block,) = function.body.blocks
        self.values: dict[relax.Var, Any] = {b.var: b.value for b in self.block.bindings}
        self.users: dict[relax.Var, list[relax.Var]] = {}
        for binding in self.block.bindings:
            for var in relax.analysis.free_vars(binding.value):
                self.users.setdefault(var, []).append(binding.var)

    def feature(self, var: relax.Var) -> Any:
        """The feature call behind numbers, a lookup or a first id; None for other values."""
        value: Any = self.values.get(var)
        if any(op.is_call(value, name) for name in (op.LOOKUP, op.FIRST_ID, *op_sequences.NAMES)):
            value = self.values.get(value.args[0])
        elif op.is_feature(value) and not _is_numbers(op.decode(value)):
            return None
        return value if op.is_feature(value) else None

    def groups(self) -> list[_Group]:
        """The outputs of each descriptor table, in graph order."""
        groups: dict[relax.Var, _Group] = {}
        inside: set[relax.Var] = set()
        alone: dict[tuple[relax.Var, str], list[relax.Var]] = {}
        whole: list[tuple[list[relax.Var], relax.Var]] = []
        for var, value in reversed(self.values.items()):  # an outer concatenation before those that it opens
            if (parts := self._concat_parts(value)) and inside.isdisjoint(parts):
                inside.update(parts)
                whole.append((parts, var))
        for parts, var in reversed(whole):
            self._add(groups, parts, var)
        for var in self.values:
            if (feature := self.feature(var)) is not None and var not in inside and self._is_read(var):
                middle = ",".join(str(extent) for extent in var.ty.shape.values[1:-1])
                alone.setdefault((feature.args[0], f"{var.ty.dtype} {middle}"), []).append(var)
        for parts in alone.values():
            self._add(groups, parts, parts[0] if len(parts) == 1 else None)
        return list(groups.values())

    def _is_read(self, var: relax.Var) -> bool:
        """True when anything but features reads the value: what only features read stays inside of the kernel."""
        users = self.users.get(var, [])
        return not users or any(not op.is_feature(self.values[user]) for user in users)

    def producers(self, vars_: Iterable[relax.Var]) -> dict[str, Column]:
        """The columns of the features that these values are made of, those that they read included, by name."""
        found: dict[str, Column] = {}
        waiting = [value for var in vars_ for value in op.inputs_of(self.feature(var))]
        while waiting:
            call = self.values[waiting.pop()]
            column = op.decode(call)
            if column.name not in found:
                found[column.name] = column
                waiting += op.inputs_of(call)
        return found

    def _add(self, groups: dict[relax.Var, _Group], parts: list[relax.Var], root: relax.Var | None) -> None:
        feature = self.feature(parts[0])
        group = groups.setdefault(feature.args[0], _Group(feature.args[0], feature.args[1]))
        group.outputs.append(_Output(parts, root))

    def _concat_parts(self, value: Any) -> list[relax.Var] | None:
        """The operands of a concat along columns, if all are float32 features of one table that nothing else uses."""
        parts = self._operands(value)
        if parts is None:
            return None
        features = [self.feature(part) for part in parts]
        alone = all(len(self.users.get(part, [])) == 1 for part in parts) and len(set(parts)) == len(parts)
        if not alone or any(f is None for f in features) or any(f.args[0] != features[0].args[0] for f in features):
            return None
        return parts if all(part.ty.dtype == "float32" for part in parts) else None

    def _operands(self, value: Any) -> list[relax.Var] | None:
        """The operands of a concat along columns; an operand that is one itself, and that nothing else uses, is opened."""
        if not op.is_call(value, "relax.concat") or not isinstance(value.args[0], relax.Tuple) or value.attrs.axis is None:
            return None
        if value.ty.ndim != 2 or int(value.attrs.axis) not in (1, -1):
            return None
        parts: list[relax.Var] = []
        for part in value.args[0].fields:
            inner = self._operands(self.values.get(part)) if len(self.users.get(part, [])) == 1 else None
            parts += [part] if inner is None else inner
        return parts

    def rewritten(self, first: list, replaced: dict, statuses: list) -> relax.Function:
        """The function with `first` before its bindings, some of them replaced, and the statuses behind its results."""
        body = [relax.VarBinding(b.var, replaced.get(b.var, b.value)) for b in self.block.bindings]
        result = self.function.body.body
        if not isinstance(result, relax.Tuple):
            result = relax.Tuple([relax.TupleGetItem(result, k) for k in range(len(result.ty.fields))])
        fields = [*result.fields, *statuses]
        types = relax.TupleType([*self.function.ret_ty.fields, *(status.ty for status in statuses)])
        out = relax.Var("results", types)
        block = relax.DataflowBlock([*first, *body, relax.VarBinding(out, relax.Tuple(fields))])
        return relax.Function(self.function.params, relax.SeqExpr([block], out), types, self.function.is_pure, self.function.attrs)


def _is_numbers(column: Column) -> bool:
    return not (column.kind.yields_ids or column.kind.yields_texts or column.sequence is not None)


class _Kernel:
    """The kernel of one group: its layout, arguments and call."""

    def __init__(self, graph: _Graph, group: _Group):
        self.graph, self.group = graph, group
        self.stacks: list[relax.Var] = []
        uses, self.outputs = [], []
        self.columns: list[Column] = []
        for number, output in enumerate(group.outputs):
            out = 0
            for part in output.parts:
                uses.append(self._use(part, number, out))
                out += int(part.ty.shape.values[-1])
            middle = [int(extent) for extent in output.parts[0].ty.shape.values[1:-1]]
            self.outputs.append(kernel.Argument(f"out{number}", ("rows", *middle, out), str(output.parts[0].ty.dtype)))
        producers = graph.producers(part for output in group.outputs for part in output.parts)
        self.columns += producers.values()
        self.layout = lay_out_with_producers(uses, producers, int(group.columns.ty.shape.values[0]))
        self.outputs.append(kernel.Argument("status", (max(1, len(self.layout.refusals)),), "int64"))

    def _use(self, part: relax.Var, number: int, out: int) -> Use:
        value, column = self.graph.values[part], op.decode(self.graph.feature(part))
        self.columns.append(column)
        ints = {"out": out}
        if op.is_call(value, op.LOOKUP) or op.is_call(value, op_sequences.LOOKUP):
            ints["table_row"] = int(value.attrs["table_row"])
        return Use(column=column, sink=self._sink(value), output=number, ints=ints)

    def _sink(self, value: relax.Call) -> Any:
        """Where the values of a feature go."""
        if op.is_call(value, op.FIRST_ID):
            return sinks.FirstId()
        if op.is_call(value, op_sequences.LENGTH):
            return padded.ElementCounts()
        if op.is_call(value, op_sequences.IDS):
            return padded.PaddedIds(int(value.attrs["length"]))
        if op.is_call(value, op_sequences.NUMBERS):
            return padded.PaddedNumbers(int(value.attrs["length"]), int(value.attrs["dimension"]))
        if op.is_feature(value):
            return sinks.Numbers()
        stack = value.args[1]
        if stack not in self.stacks:
            self.stacks.append(stack)
        combiner, dim, name = str(value.attrs["combiner"]), int(stack.ty.shape.values[1]), f"stack{self.stacks.index(stack)}"
        if op.is_call(value, op_sequences.LOOKUP):
            return padded.PaddedEmbeddings(combiner, dim, name, int(value.attrs["length"]))
        return Pool(combiner, dim, name)

    def prim_func(self, name: str, knobs: kernel.Knobs):
        """The kernel."""
        inputs = [
            kernel.Argument(f"stack{k}", tuple(int(extent) for extent in stack.ty.shape.values), "float32")
            for k, stack in enumerate(self.stacks)
        ]
        fields = int(self.group.columns.ty.shape.values[0])
        return kernel.build(name, "rank.features", self.layout, fields, inputs, self.outputs, rows="rows", knobs=knobs)

    def describe(self) -> list[dict]:
        """The column groups: kind, sink and number of columns."""
        return [{"kind": str(s.kind), "sink": str(s.sink), "columns": s.count} for s in self.layout.sections]

    def out_type(self) -> relax.TupleType:
        """The tensors that the kernel writes."""
        rows = self.group.rows.values[0]
        return relax.TupleType(
            [relax.TensorType([rows if extent == "rows" else extent for extent in a.shape], a.dtype) for a in self.outputs]
        )

    def call(self, target: relax.GlobalVar) -> relax.Call:
        """The call of the kernel."""
        constants = [
            relax.const(self.layout.ints, "int64"),
            relax.const(self.layout.floats, "float64"),
            relax.const(self.layout.bytes, "uint8"),
        ]
        return relax.call_tir(target, relax.Tuple([self.group.columns, *constants, *self.stacks]), list(self.out_type().fields))
