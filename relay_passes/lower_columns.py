"""Lower the feature part of a graph to one kernel per descriptor table, in column groups, writing in place what is concatenated.

    a = rank.id_feature(item_columns, ...)        outs = call_tir(item_features, (item_columns, ..., stack_16),
    b = rank.lookup(a, stack_16)                                  out: (Tensor((N, 20)), status))
    c = rank.raw_feature(item_columns, ...)   ->  d = outs[0]
    d = concat((b, c), axis=1)                    return (..., outs[1])
    return (...)

Lookups and numbers that feed a concat, also one inside of another, are written straight into it. What others read lies side by side
in one tensor for each dtype, and slices of it take their place: the code of a kernel grows with the kinds of its features times the
tensors that it writes, so these are few. A value that goes to several places is made once and copied, and ids that several lookups read
are made once, in one loop for all of them (`Knobs.intermediates`). Ids exist only in registers and a small queue.
The function returns a tuple; for each kernel a `status` vector is appended to it: 0, or 1 + the row at which the batch is refused.
The function attribute `rank.refusals` names the feature of each status element, kernel by kernel, `rank.groups` the column groups.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import tvm
from tvm import relax

from relay_passes.column_kernel import ColumnKernel, FeatureGraph, Group, Output
from te_schedules.column_group import kernel, op
from te_schedules.feature.kind import procedures_of
from te_schedules.procedure import prim_funcs

REFUSALS = "rank.refusals"
GROUPS = "rank.groups"
KEY = "rank.key"  # attribute of a kernel: the name by which a schedule has knobs for it


@tvm.transform.module_pass(opt_level=0, name="rank.LowerColumns")
class LowerColumns:
    """See the module's text. `function` is the one to rewrite, `knobs` the schedule of its kernels, `named` that of single ones, by their
    keys (`ColumnKernel.key`); what else it holds is not looked at."""

    def __init__(self, function: str = "main", knobs: kernel.Knobs | None = None, named: Mapping[str, Any] = MappingProxyType({})):
        self.function, self.knobs, self.named = function, knobs or kernel.Knobs(), named

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten and its kernels added; unchanged when it has no feature operators."""
        if self.function not in [var.name_hint for var in mod.get_global_vars()]:
            return mod
        graph = _Graph(mod[self.function])
        found = _side_kernels(graph, self.function)
        if not found:
            return mod
        builder = relax.BlockBuilder(mod)
        bindings: list[relax.VarBinding] = []
        replaced: dict[relax.Var, relax.Expr] = {}
        statuses, refusals, described, columns = [], [], [], []
        for one in found:
            lowered, group, name = one.lowered(self.knobs), one.group, one.name
            if isinstance(given := self.named.get(key := lowered.key(name)), kernel.Knobs):
                lowered = one.lowered(given)
            target = builder.add_func(lowered.prim_func(name).with_attr(KEY, key), name)
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


@dataclass(frozen=True, eq=False)
class SideKernel:
    """A kernel that the pass makes: that of the features of one descriptor table."""

    name: str
    graph: FeatureGraph
    group: Group

    def lowered(self, knobs: kernel.Knobs, *, reads_tables: bool = True) -> ColumnKernel:
        """The kernel with these knobs, and with or without the rows of its lookups."""
        return ColumnKernel(self.graph, self.group, knobs, reads_tables=reads_tables)

    @property
    def key(self) -> str:
        """The name by which a schedule has knobs for it."""
        return self.lowered(kernel.Knobs()).key(self.name)


def side_kernels(mod: tvm.IRModule, function: str = "main") -> list[SideKernel]:
    """The kernels that `LowerColumns` makes of a function that it has not rewritten yet."""
    return _side_kernels(_Graph(mod[function]), function)


def _side_kernels(graph: _Graph, function: str) -> list[SideKernel]:
    found = []
    for group in graph.groups():
        side = group.columns.name.removesuffix("_columns") if function == "main" else function
        found.append(SideKernel(f"{side}_features", graph, group))
    return found


class _Graph(FeatureGraph):
    """What each kernel of a function writes, and what the function is with them."""

    def groups(self) -> list[Group]:
        """The outputs of each descriptor table, in graph order."""
        groups: dict[relax.Var, Group] = {}
        opened: set[relax.Var] = set()  # concatenations that are written in place, and those inside of them
        alone: dict[tuple[relax.Var, str], list[relax.Var]] = {}
        whole: list[tuple[list[relax.Var], relax.Var]] = []
        for var in reversed(self.values):  # an outer concatenation before those that it opens
            if var not in opened and (found := self._concat_parts(var)) is not None:
                opened |= found[1]
                whole.append((found[0], var))
        for parts, var in reversed(whole):
            self._add(groups, parts, var)
        for var in self.values:
            if (feature := self.feature(var)) is not None and self._is_read(var, opened):
                middle = ",".join(str(extent) for extent in var.ty.shape.values[1:-1])
                alone.setdefault((feature.args[0], f"{var.ty.dtype} {middle}"), []).append(var)
        for parts in alone.values():
            self._add(groups, parts, parts[0] if len(parts) == 1 else None)
        return list(groups.values())

    def _is_read(self, var: relax.Var, opened: set[relax.Var]) -> bool:
        """True when anything but features and concatenations that are written in place reads the value."""
        users = self.users.get(var, [])
        return not users or any(user not in opened and not op.is_feature(self.values[user]) for user in users)

    def _add(self, groups: dict[relax.Var, Group], parts: list[relax.Var], root: relax.Var | None) -> None:
        feature = self.feature(parts[0])
        group = groups.setdefault(feature.args[0], Group(feature.args[0], feature.args[1]))
        group.outputs.append(Output(parts, root))

    def _concat_parts(self, var: relax.Var) -> tuple[list[relax.Var], set[relax.Var]] | None:
        """The operands of a concat along columns and the concats among them, if all are float32 features of one table, and one of them has
        no other use: what is only put together of values that stand elsewhere too stays a concat."""
        opened: set[relax.Var] = set()
        parts = self._operands(var, opened)
        if parts is None:
            return None
        features = [self.feature(part) for part in parts]
        if any(f is None for f in features) or any(f.args[0] != features[0].args[0] for f in features):
            return None
        is_own = any(opened.issuperset(self.users[part]) for part in parts)
        return (parts, opened) if is_own and all(part.ty.dtype == "float32" for part in parts) else None

    def _operands(self, var: relax.Var, opened: set[relax.Var]) -> list[relax.Var] | None:
        """The operands of a concat along columns; an operand that is one itself, and that nothing else uses, is opened."""
        value: Any = self.values.get(var)
        if not op.is_call(value, "relax.concat") or not isinstance(value.args[0], relax.Tuple) or value.attrs.axis is None:
            return None
        if value.ty.ndim != 2 or int(value.attrs.axis) not in (1, -1):
            return None
        opened.add(var)
        parts: list[relax.Var] = []
        for part in value.args[0].fields:
            inner = self._operands(part, opened) if len(self.users.get(part, [])) == 1 else None
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
