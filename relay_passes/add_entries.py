"""Add the functions that an engine calls: one call from a request's columns to scores and one vector of statuses.

    rank_columns(request_columns, item_columns, rows, item_request, stack_16 ...)
        status = check_columns(columns); safe = guard_columns(columns, status)            both sides
        outs = main(safe request columns, safe item columns, rows, item_request, stack_16 ...)
        return (scores ..., concat(status of request, status of item, statuses of main ...))

    rank_batches(sources, request_plan, item_plan, rows, item_request, stack_16 ...)
        return rank_columns(bind_columns(sources, request_plan), bind_columns(sources, item_plan), ...)

A column whose offsets lead outside of its buffers is replaced before anything follows them, so the status needs no look in between.
The function attribute `rank.refusals` of `main` says how many statuses it returns; it stands behind `LowerColumns`.
"""

from __future__ import annotations

import json

import tvm
from tvm import relax

from relay_passes.lower_columns import REFUSALS
from te_schedules import bind_columns, check_columns, guard_columns
from te_schedules.column import WORDS

SOURCES = 3  # addresses of the request's record batch, the items' record batch, and the row map


@tvm.transform.module_pass(opt_level=0, name="rank.AddEntries")
class AddEntries:
    """See the module's text. `function` is the one that they call."""

    def __init__(self, function: str = "main"):
        self.function = function

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with `rank_columns`, `rank_batches` and their kernels added."""
        return _Entries(mod, self.function).added()


class _Entries:
    def __init__(self, mod: tvm.IRModule, name: str):
        function = mod[name]
        others = {var: other for var, other in mod.functions_items() if var.name_hint != name}
        self.builder = relax.BlockBuilder(tvm.IRModule(others, attrs=mod.attrs, global_infos=mod.global_infos))
        # entered anew: a pass that replaces a function leaves the type of its variable as it was
        self.main = self.builder.add_func(function, name)
        self.function = relax.utils.copy_with_new_vars(function)  # a function's symbolic dimensions are its own
        self.statuses = len(json.loads(str(function.attrs[REFUSALS]))) if function.attrs and REFUSALS in function.attrs else 0
        kernels = {"check": check_columns, "guard": guard_columns, "bind": bind_columns}
        self.kernels = {k: self.builder.add_func(m.prim_func(f"{k}_columns"), f"{k}_columns") for k, m in kernels.items()}

    def added(self) -> tvm.IRModule:
        """The module with both functions."""
        columns = self._rank_columns()
        self._rank_batches(columns)
        return self.builder.get()

    # No dataflow blocks: inside of one, TVM looks whether a kernel is a reshape, and fails on kernels that are no block.

    def _rank_columns(self) -> relax.GlobalVar:
        bb, params = self.builder, self.function.params
        with bb.function("rank_columns", list(params), attrs={"global_symbol": "rank_columns"}):
            status = [self._call("check", [table], self._vector(table)) for table in params[:2]]
            safe = [self._call("guard", [t, s], t.ty) for t, s in zip(params[:2], status, strict=True)]
            outs = bb.emit(relax.Call(self.main, [*safe, *params[2:]]))
            parts = [bb.emit(relax.TupleGetItem(outs, k)) for k in range(len(self.function.ret_ty.fields))]
            scores = parts[: len(parts) - self.statuses]
            every = bb.emit(relax.op.concat([*status, *parts[len(scores) :]], axis=0))
            return bb.emit_func_output(relax.Tuple([*scores, every]))

    def _rank_batches(self, target: relax.GlobalVar) -> None:
        bb = self.builder
        params = list(relax.utils.copy_with_new_vars(self.function).params)
        fields = [int(table.ty.shape.values[0]) for table in params[:2]]
        sources = relax.Var("sources", relax.TensorType([SOURCES], "int64"))
        plans = [
            relax.Var(f"{side}_plan", relax.TensorType([count, len(bind_columns.PLAN)], "int64"))
            for side, count in zip(("request", "item"), fields, strict=True)
        ]
        with bb.function("rank_batches", [sources, *plans, *params[2:]], attrs={"global_symbol": "rank_batches"}):
            bound = [
                self._call("bind", [sources, plan], relax.TensorType([count, WORDS], "int64"))
                for plan, count in zip(plans, fields, strict=True)
            ]
            bb.emit_func_output(bb.emit(relax.Call(target, [*bound, *params[2:]])))

    def _call(self, kernel: str, arguments: list[relax.Expr], output: relax.TensorType) -> relax.Var:
        return self.builder.emit(relax.call_tir(self.kernels[kernel], relax.Tuple(arguments), output))

    @staticmethod
    def _vector(table: relax.Var) -> relax.TensorType:
        return relax.TensorType([table.ty.shape.values[0]], "int64")
