"""Add the functions that an engine calls: one call from a request's columns to scores and one vector of statuses.

    rank_columns(request_columns, item_columns, rows, item_request, stack_16 ...)
        status = check_columns(columns); safe = guard_columns(columns, status)            both sides
        outs = main(safe request columns, safe item columns, rows, item_request, stack_16 ...)
        return (scores ..., concat(status of request, status of item, statuses of main ...))

    rank_batches(sources, request_plan, item_plan, rows, item_request, stack_16 ...)
        return rank_columns(bind_columns(sources, request_plan), bind_columns(sources, item_plan), ...)

With an item store, the items of a request are ids, and the entries are `rank_store_columns` and `rank_store_batches`:

    rank_store_columns(request_columns, item_columns, ids, keys, slots, stored, rows, item_request, ...)
        item_rows = find_rows(safe ids, keys, slots)
        placed = place_fields(safe item columns, stored, item_rows)                       the fields that the store has
        outs = main(safe request columns, placed, rows, item_request, item_rows, ...)
        return (scores ..., concat(statuses of request, item, ids, main), item_rows)

    item_values_columns(item_columns, rows, stacks ...)           with values that `MaterializeItems` has taken out of main
        return (values ..., concat(status of item, statuses of item_values))

A column whose offsets lead outside of its buffers is replaced before anything follows them, so the status needs no look in between.
The function attribute `rank.refusals` of `main` says how many statuses it returns; it stands behind `LowerColumns`.

`AddStoreEntries` adds what makes an item store alone: `build_index`, and `item_values_columns` where there are such values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import tvm
from tvm import relax, tirx

from relay_passes.lower_columns import REFUSALS
from relay_passes.materialize_items import ITEM_VALUES
from relay_passes.sides import ITEM_ROWS
from te_schedules import bind_columns, check_columns, guard_columns
from te_schedules.column import WORDS
from te_schedules.item_store import index, place_fields

SOURCES = 3  # addresses of the request's record batch, the items' record batch, and the row map


@tvm.transform.module_pass(opt_level=0, name="rank.AddEntries")
class AddEntries:
    """See the module's text. `function` is the one that they call, `key_form` the form of the keys of the item store (`text`, `number`),
    None without one."""

    def __init__(self, function: str = "main", key_form: str | None = None):
        self.function, self.key_form = function, key_form

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the entries and their kernels added."""
        return _Entries(mod, self.function, self.key_form).added()


@tvm.transform.module_pass(opt_level=0, name="rank.AddStoreEntries")
class AddStoreEntries:
    """What makes an item store, in a library of its own, where `main` runs on another device. key_form: as of `AddEntries`."""

    def __init__(self, key_form: str):
        self.key_form = key_form

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the entries and their kernels added."""
        entries = _StoreEntries(mod, {"index": index.build_index(self.key_form)})
        entries.add_item_values()
        return entries.builder.get()


class _StoreEntries:
    """What the store is made by. kernels: those that are added, beside `check` and `guard` · without: functions that are added later."""

    def __init__(self, mod: tvm.IRModule, kernels: Mapping[str, tirx.PrimFunc], without: tuple[str, ...] = ()):
        ahead = mod[ITEM_VALUES] if ITEM_VALUES in [var.name_hint for var in mod.get_global_vars()] else None
        others = {var: other for var, other in mod.functions_items() if var.name_hint not in (*without, ITEM_VALUES)}
        self.builder = relax.BlockBuilder(tvm.IRModule(others, attrs=mod.attrs, global_infos=mod.global_infos))
        self.ahead = None if ahead is None else (self.builder.add_func(ahead, ITEM_VALUES), relax.utils.copy_with_new_vars(ahead))
        modules = {"check": check_columns, "guard": guard_columns}
        kernels = {k: module.prim_func(f"{k}_columns") for k, module in modules.items()} | dict(kernels)
        self.kernels = {k: self.builder.add_func(f, str(f.attrs["global_symbol"])) for k, f in kernels.items()}

    def add_item_values(self) -> None:
        """The values of items that are computed ahead, if there are any, from checked columns."""
        if self.ahead is None:
            return
        target, function = self.ahead
        bb, params, name = self.builder, list(function.params), f"{ITEM_VALUES}_columns"
        statuses = _statuses(function)
        with bb.function(name, params, attrs={"global_symbol": name}):
            status = self._call("check", [params[0]], self._vector(params[0]))
            safe = self._call("guard", [params[0], status], params[0].ty)
            outs = bb.emit(relax.Call(target, [safe, *params[1:]]))
            parts = [bb.emit(relax.TupleGetItem(outs, k)) for k in range(len(function.ret_ty.fields))]
            values = parts[: len(parts) - statuses]
            every = bb.emit(relax.op.concat([status, *parts[len(values) :]], axis=0))
            bb.emit_func_output(relax.Tuple([*values, every]))

    def _call(self, kernel: str, arguments: list[relax.Expr], output: relax.TensorType) -> relax.Var:
        return self.builder.emit(relax.call_tir(self.kernels[kernel], relax.Tuple(arguments), output))

    @staticmethod
    def _vector(table: relax.Var) -> relax.TensorType:
        return relax.TensorType([table.ty.shape.values[0]], "int64")


class _Entries(_StoreEntries):
    def __init__(self, mod: tvm.IRModule, name: str, key_form: str | None):
        function = mod[name]
        self.name = "rank_store" if key_form else "rank"
        kernels = {"bind": bind_columns.prim_func("bind_columns")}
        if key_form:
            kernels |= {"find": index.find_rows(key_form), "place": place_fields.prim_func(), "index": index.build_index(key_form)}
        super().__init__(mod, kernels, (name,))
        # entered anew: a pass that replaces a function leaves the type of its variable as it was
        self.main = self.builder.add_func(function, name)
        self.function = relax.utils.copy_with_new_vars(function)  # a function's symbolic dimensions are its own
        self.statuses = _statuses(function)
        self.store = _store_params(function.params[1]) if key_form else []

    def added(self) -> tvm.IRModule:
        """The module with both functions."""
        columns = self._rank_columns()
        self._rank_batches(columns)
        self.add_item_values()
        return self.builder.get()

    # No dataflow blocks: inside of one, TVM looks whether a kernel is a reshape, and fails on kernels that are no block.

    def _rank_columns(self) -> relax.GlobalVar:
        bb, params, name = self.builder, list(self.function.params), f"{self.name}_columns"
        others = [param for param in params[2:] if param.name != ITEM_ROWS or not self.store]
        with bb.function(name, [*params[:2], *self.store, *others], attrs={"global_symbol": name}):
            tables = [*params[:2], *self.store[:1]]
            status = [self._call("check", [table], self._vector(table)) for table in tables]
            safe = [self._call("guard", [t, s], t.ty) for t, s in zip(tables, status, strict=True)]
            found = self._found(safe[2:]) if self.store else None
            if found is not None:
                safe[1] = self._call("place", [safe[1], self.store[3], found], safe[1].ty)
            outs = bb.emit(relax.Call(self.main, [*safe[:2], *(found if p not in others else p for p in params[2:])]))
            parts = [bb.emit(relax.TupleGetItem(outs, k)) for k in range(len(self.function.ret_ty.fields))]
            scores = parts[: len(parts) - self.statuses]
            every = bb.emit(relax.op.concat([*status, *parts[len(scores) :]], axis=0))
            return bb.emit_func_output(relax.Tuple([*scores, every, *([] if found is None else [found])]))

    def _found(self, ids: list[relax.Expr]) -> relax.Var:
        """The row of the store of each item; it is returned too, so that its memory lasts while kernels read it."""
        rows = next(param for param in self.function.params if isinstance(param.ty, relax.ShapeType))
        return self._call("find", [*ids, *self.store[1:3]], relax.TensorType([rows.ty.values[1]], "int32"))

    def _rank_batches(self, target: relax.GlobalVar) -> None:
        bb, name = self.builder, f"{self.name}_batches"
        params = list(relax.utils.copy_with_new_vars(self.function).params)
        others = [param for param in params[2:] if param.name != ITEM_ROWS or not self.store]
        store = _store_params(params[1]) if self.store else []
        fields = [int(table.ty.shape.values[0]) for table in params[:2]]
        sources = relax.Var("sources", relax.TensorType([SOURCES], "int64"))
        plans = [
            relax.Var(f"{side}_plan", relax.TensorType([count, len(bind_columns.PLAN)], "int64"))
            for side, count in zip(("request", "item"), fields, strict=True)
        ]
        with bb.function(name, [sources, *plans, *store, *others], attrs={"global_symbol": name}):
            bound = [
                self._call("bind", [sources, plan], relax.TensorType([count, WORDS], "int64"))
                for plan, count in zip(plans, fields, strict=True)
            ]
            bb.emit_func_output(bb.emit(relax.Call(target, [*bound, *store, *others])))


def _statuses(function: relax.Function) -> int:
    """How many vectors of statuses stand behind the results of a function."""
    return len(json.loads(str(function.attrs[REFUSALS]))) if function.attrs and REFUSALS in function.attrs else 0


def _store_params(item_columns: relax.Var) -> list[relax.Var]:
    """ids, keys, slots, stored: descriptors of the ids of a request, of the keys of the store, its index, descriptors of its fields."""
    one = relax.TensorType([1, WORDS], "int64")
    slots = relax.TensorType([tirx.Var("S", "int64"), index.SLOT], "int64")
    types = {"ids": one, "keys": one, "slots": slots, "stored": relax.TensorType(item_columns.ty.shape, "int64")}
    return [relax.Var(name, kind) for name, kind in types.items()]
