"""Compute what depends on the request alone once per request.

    u = take(user, item_request)                  v = relu(user)                          R rows
    v = relu(u)                              ->   w = take(v, item_request)               N rows, only where items meet it

A `take` along rows by the function's parameter `item_request` marks a request-side value. An operator that works on each row alone
(`row_wise.py`) and reads nothing but request-side values and constants runs on the R rows of their sources; the `take` moves behind
it. What joins both sides reads the `take`, which TVM fuses into it; dense layers do without (`split_dense.py`, `split_pairs.py`).

Everything else keeps its N rows, outputs of the function too. An index out of range means the nearest row before and after.
"""

from __future__ import annotations

import tvm
from tvm import relax

from relay_passes.graph import INDEX, extents, rewritten, same_extents, taken
from relay_passes.row_wise import on_rows


@tvm.transform.module_pass(opt_level=0, name="rank.HoistRequestSide")
class HoistRequestSide:
    """See the module's text. `function` is the one to rewrite; `index` the name of its parameter (N,) int32."""

    def __init__(self, function: str = "main", index: str = INDEX):
        self.function, self.index = function, index

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten; unchanged when nothing in it depends on the request alone."""
        return rewritten(mod, self.function, self.index, _hoisted)


def _hoisted(index: relax.Var, block: relax.DataflowBlock) -> list[relax.Binding] | None:
    hoister = _Hoister(index)
    bindings = [made for binding in block.bindings for made in hoister.binding(binding)]
    return bindings if hoister.changed else None


class _Hoister:
    """One walk over the bindings; `sources` maps a request-side variable (N rows) to the value (R rows) that it is taken from."""

    def __init__(self, index: relax.Var):
        self.index = index
        self.requests: list = []  # R, the extent that all sources share
        self.sources: dict[relax.Expr, relax.Var] = {}
        self.changed = False

    def binding(self, binding: relax.Binding) -> list[relax.Binding]:
        """What becomes of a binding."""
        var, value = binding.var, binding.value
        if (source := taken(value, self.index)) is not None and self._shares_rows(source):
            self.sources[var] = source
        elif isinstance(binding, relax.VarBinding) and (call := self._on_request_rows(value)) is not None:
            self.changed = True
            moved = relax.DataflowVar(f"{var.name}_request", call.ty)
            self.sources[var] = moved
            again = relax.op.take(moved, self.index, axis=0, mode="clip")
            return [relax.VarBinding(moved, call), relax.VarBinding(var, again)]
        return [binding]

    def _shares_rows(self, source: relax.Var) -> bool:
        self.requests = self.requests or extents(source)[:1]
        return same_extents(extents(source)[:1], self.requests)

    def _on_request_rows(self, value: relax.Expr) -> relax.Call | None:
        return on_rows(value, self.sources, extents(self.index)[0])
