"""Split dense layers whose input mixes request-side and other columns.

    u = take(user, item_request)                  p = rank.dense(user, W[:k], bias)                     R rows
    h = concat((u, item), axis=1)            ->   y = rank.dense(item, W[k:], 0, p, item_request)       N rows
    y = rank.dense(h, W, bias)                    {activation of y}

The layer becomes the sum of two: the request part is a bias per row, which the kernel reads through `item_request`, so a
request-side row is never tiled. The rows of W are put into the order of the two parts here. Sums, differences and multiples inside
of the concatenation are distributed (`linear.py`): in `concat(u, v, u - v, u * v) @ W` only v and u * v are left to N rows.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from relay_passes.graph import INDEX, extents, op_name, rewritten, same_extents, taken
from relay_passes.linear import Opener, Rows, weights_of
from te_schedules.dense import pack
from te_schedules.dense.op import NAME, dense, layer_of
from te_schedules.dense.pack import unpack


@tvm.transform.module_pass(opt_level=0, name="rank.SplitDense")
class SplitDense:
    """See the module's text. `function` is the one to rewrite; `index` the name of its parameter (N,) int32."""

    def __init__(self, function: str = "main", index: str = INDEX):
        self.function, self.index = function, index

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten; unchanged when no layer mixes the sides."""

        def split(index: relax.Var, block: relax.DataflowBlock) -> list[relax.Binding] | None:
            splitter = _Splitter(index, {binding.var: binding.value for binding in block.bindings})
            for binding in block.bindings:
                splitter.add(binding)
            return splitter.bindings if splitter.changed else None

        return rewritten(mod, self.function, self.index, split)


class _Splitter:
    def __init__(self, index: relax.Var, values: dict[relax.Expr, relax.Expr]):
        self.index, self.values = index, values
        self.opener = Opener(values, self._source)
        self.sides: dict[tuple[relax.Expr, ...], relax.Var] = {}  # concatenated parts, shared by layers over the same ones
        self.bindings: list[relax.Binding] = []
        self.changed = False

    def add(self, binding: relax.Binding) -> None:
        """Append what becomes of a binding."""
        call = self._split(binding.value)
        self.changed |= call is not None
        self.bindings.append(binding if call is None else relax.VarBinding(binding.var, call))

    def _source(self, var: relax.Expr) -> tuple[relax.Var, Rows] | None:
        source = taken(self.values.get(var), self.index)
        return None if source is None else (source, Rows.REQUEST)

    def _split(self, value: relax.Expr) -> relax.Call | None:
        """The two layers of a dense layer over both sides; the first is bound, the second is given."""
        if op_name(value) != NAME or len(value.args) != 3 or not isinstance(value.args[1], tvm.ir.GenericConst):
            return None
        if not same_extents(extents(value.args[0])[:1], extents(self.index)):
            return None
        layer = layer_of(value)
        weight = unpack(value.args[1].value.numpy(), layer.units)
        terms = self.opener.terms(value.args[0])
        request, item = ([t for t in terms if (t.rows == Rows.REQUEST) == side] for side in (True, False))
        if not request or not item:
            return None

        def product(side: str, of_side: list, bias: relax.Expr, activation: str, **row_bias: relax.Expr) -> relax.Call:
            parts = weights_of(of_side, weight)
            packed = relax.const(pack(np.concatenate(list(parts.values())), layer.tiles))
            x = self._beside(tuple(parts), side)
            return dense(x, packed, bias, units=layer.units, activation=activation, tiles=layer.tiles, **row_bias)

        partial = self._bind("request_part", product("request", request, value.args[2], "none"))
        zeros = relax.const(np.zeros(layer.units, np.float32))
        return product("item", item, zeros, layer.activation, row_bias=partial, row_index=self.index)

    def _beside(self, values: tuple[relax.Expr, ...], side: str) -> relax.Expr:
        """The values side by side, bound once."""
        if len(values) == 1:
            return values[0]
        if values not in self.sides:
            self.sides[values] = self._bind(f"{side}_side", relax.op.concat(list(values), axis=1))
        return self.sides[values]

    def _bind(self, name: str, call: relax.Call) -> relax.Var:
        call = relax.BlockBuilder().normalize(call)
        var = relax.DataflowVar(name, call.ty)
        self.bindings.append(relax.VarBinding(var, call))
        return var
