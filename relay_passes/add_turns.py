"""Add a function that ranks several requests in turn and reads the clock between them, for machines that have TVM's runtime only.

    rank_turns(request_columns, item_columns, ... of each request, item_request, stack_16 ...)
        outs = rank_columns(request_columns, item_columns, (1, N), item_request, stack_16 ...)     of the last request, for warmth
        times = read_clocks(status)
        outs = rank_columns(...)                                                                   of each request
        times = read_clocks(item_request)
        return (concat(times), scores and statuses of each request ...)

A request has one row of `user`. The pass stands behind `AddEntries`.
"""

from __future__ import annotations

import tvm
from tvm import relax, tirx

from te_schedules import read_clocks

ENTRY, TURNS = "rank_columns", "rank_turns"
TABLES = 2  # descriptor tables of a request


@tvm.transform.module_pass(opt_level=0, name="rank.AddTurns")
class AddTurns:
    """See the module's text. count: how many requests."""

    def __init__(self, count: int):
        self.count = count

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function and its kernel added."""
        entry = relax.utils.copy_with_new_vars(mod[ENTRY])  # a function's symbolic dimensions are its own
        first, second, rows, item_request, *stacks = entry.params
        tables = [relax.Var(f"{one.name}_{k}", one.ty) for k in range(self.count) for one in (first, second)]
        builder = relax.BlockBuilder(mod)
        clocks = builder.add_func(read_clocks.prim_func(), "read_clocks")
        shape = relax.ShapeExpr([tirx.IntImm("int64", 1), rows.ty.values[1]])

        def ranked(request: int) -> list[relax.Var]:
            own = tables[TABLES * request : TABLES * (request + 1)]
            outs = builder.emit(relax.Call(mod.get_global_var(ENTRY), [*own, shape, item_request, *stacks]))
            return [builder.emit(relax.TupleGetItem(outs, k)) for k in range(len(entry.ret_ty.fields))]

        def time_behind(results: list[relax.Var]) -> relax.Var:
            kind = relax.TensorType([len(read_clocks.CLOCKS)], "int64")
            return builder.emit(relax.call_tir(clocks, relax.Tuple([results[-1]]), kind))

        with builder.function(TURNS, [*tables, item_request, *stacks], attrs={"global_symbol": TURNS}):
            times, results = [time_behind(ranked(self.count - 1))], []
            for request in range(self.count):
                results += ranked(request)
                times.append(time_behind(results))
            every = builder.emit(relax.op.concat(times, axis=0))
            builder.emit_func_output(relax.Tuple([every, *results]))
        return builder.get()
