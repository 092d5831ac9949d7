"""Compute what depends on the request alone once per request, and split dense layers that mix both sides.

    u = take(user, item_request)                  p = rank.dense(user, W[:k], bias)                     R rows
    h = concat((u, item), axis=1)            ->   y = rank.dense(item, W[k:], 0, p, item_request)       N rows
    y = rank.dense(h, W, bias)                    {activation of y}

    y = rank.dense(take(user, i), W, bias)   ->   y = take(rank.dense(user, W, bias), i)

A `take` along rows by the function's parameter `item_request` marks a request-side value. Dense layers and elementwise operators over
request-side values (and constants without rows) run on the R rows of their sources; the `take` moves behind them. A dense layer over a
concatenation of both sides becomes the sum of two: the request part is a bias per row, which the kernel reads through `item_request`,
so a request-side row is never tiled. The rows of W are put into the order of the two parts here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax

from te_schedules.dense import pack
from te_schedules.dense.op import NAME, dense, layer_of

ELEMENTWISE = frozenset(
    f"relax.{name}" for name in ("nn.relu", "sigmoid", "tanh", "exp", "log", "sqrt", "negative", "abs", "add", "subtract", "multiply",
                                 "divide", "maximum", "minimum")
)  # fmt: skip


@tvm.transform.module_pass(opt_level=0, name="rank.HoistRequestSide")
class HoistRequestSide:
    """See the module's text. `function` is the one to rewrite; `index` the name of its parameter (N,) int32."""

    def __init__(self, function: str = "main", index: str = "item_request"):
        self.function, self.index = function, index

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten; unchanged when nothing in it depends on the request alone."""
        function = mod[self.function]
        index = next((p for p in function.params if p.name == self.index), None)
        if index is None or len(function.body.blocks) != 1:
            return mod
        bindings = _Hoister(index).run(function.body.blocks[0].bindings)
        if bindings is None:
            return mod
        body = relax.SeqExpr([relax.DataflowBlock(bindings)], function.body.body)
        mod = mod.clone()
        mod[self.function] = relax.Function(function.params, body, function.ret_ty, function.is_pure, function.attrs)
        return relax.transform.DeadCodeElimination([self.function])(relax.transform.Normalize()(mod))


@dataclass(eq=False)
class _Part:
    """An operand of a concatenation: the value to use (R or N rows), its first column, its width."""

    value: relax.Expr
    first: int
    width: int
    is_request: bool


class _Hoister:
    """One walk over the bindings; `sources` maps a request-side variable (N rows) to the value (R rows) that it is taken from."""

    def __init__(self, index: relax.Var):
        self.index = index
        self.sources: dict[relax.Var, relax.Var] = {}
        self.values: dict[relax.Var, relax.Expr] = {}
        self.bindings: list[relax.VarBinding] = []

    def run(self, bindings) -> list[relax.VarBinding] | None:
        """The new bindings, or None when nothing changes."""
        changed = False
        for binding in bindings:
            var, value = binding.var, binding.value
            self.values[var] = value
            if (source := self._taken(value)) is not None:
                self.sources[var] = source
            elif (call := self._on_request_rows(value)) is not None:
                hoisted = self._bind(f"{var.name}_request", call)
                self.sources[var] = hoisted
                value, changed = relax.op.take(hoisted, self.index, axis=0, mode="clip"), True
            elif (call := self._split(value)) is not None:
                value, changed = call, True
            self.bindings.append(relax.VarBinding(var, value))
        return self.bindings if changed else None

    def _bind(self, name: str, call: relax.Call) -> relax.DataflowVar:
        builder = relax.BlockBuilder()
        call = builder.normalize(call)
        var = relax.DataflowVar(name, call.ty)
        self.bindings.append(relax.VarBinding(var, call))
        return var

    def _taken(self, value: relax.Expr) -> relax.Var | None:
        """The source of a take along rows by the index."""
        if _name(value) != "relax.take" or value.args[1] != self.index or value.attrs.axis is None or int(value.attrs.axis) != 0:
            return None
        return value.args[0] if isinstance(value.args[0], relax.Var) else None

    def _on_request_rows(self, value: relax.Expr) -> relax.Call | None:
        """The same call over the sources of its operands, if they are all request-side or constants without rows."""
        if _name(value) == NAME and len(value.args) == 3 and value.args[0] in self.sources:
            return relax.Call(value.op, [self.sources[value.args[0]], *value.args[1:]], attrs=value.attrs)
        if _name(value) not in ELEMENTWISE or not any(arg in self.sources for arg in value.args if isinstance(arg, relax.Var)):
            return None
        rank = len(value.ty.shape.values)
        operands = [self.sources.get(arg) if isinstance(arg, relax.Var) else _without_rows(arg, rank) for arg in value.args]
        if any(operand is None or operand.ty.ndim > rank for operand in operands):
            return None
        return relax.Call(value.op, operands, attrs=value.attrs)

    def _split(self, value: relax.Expr) -> relax.Call | None:
        """The two layers of a dense layer over a concatenation of both sides; the first is bound, the second is given."""
        if _name(value) != NAME or len(value.args) != 3 or not isinstance(value.args[0], relax.Var):
            return None
        parts = self._parts(value.args[0], 0)
        request, item = [p for p in parts if p.is_request], [p for p in parts if not p.is_request]
        if not request or not item:
            return None
        layer = layer_of(value)
        packed = value.args[1].value.numpy()
        weight = np.moveaxis(packed, 0, 1).reshape(layer.depth, -1)[:, : layer.units] if packed.ndim == 3 else packed
        options = {"units": layer.units, "tiles": layer.tiles}

        def product(side: list[_Part], bias: relax.Expr, activation: str, **more) -> relax.Call:
            rows = np.concatenate([weight[p.first : p.first + p.width] for p in side])
            x = side[0].value if len(side) == 1 else self._bind("side", relax.op.concat([p.value for p in side], axis=1))
            return dense(x, relax.const(pack(np.ascontiguousarray(rows), layer.tiles)), bias, activation=activation, **options, **more)

        row_bias = self._bind("request_part", product(request, value.args[2], "none"))
        zeros = relax.const(np.zeros(layer.units, np.float32))
        return product(item, zeros, layer.activation, row_bias=row_bias, row_index=self.index)

    def _parts(self, var: relax.Expr, first: int) -> list[_Part]:
        """The operands of a concatenation along columns, nested ones opened, with their places."""
        value = self.values.get(var) if isinstance(var, relax.Var) else None
        if _name(value) == "relax.concat" and int(value.attrs.axis or 0) == 1 and isinstance(value.args[0], relax.Tuple):
            parts: list[_Part] = []
            for operand in value.args[0].fields:
                parts += self._parts(operand, first)
                first = parts[-1].first + parts[-1].width
            return parts
        if isinstance(var, relax.Var) and var in self.sources:
            inner = self._parts(self.sources[var], first)
            return [_Part(p.value, p.first, p.width, True) for p in inner]
        return [_Part(var, first, int(var.ty.shape.values[1]), False)]


def _name(value: relax.Expr | None) -> str | None:
    return value.op.name if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op) else None


def _without_rows(constant: relax.Expr, rank: int) -> relax.Expr | None:
    """A constant that has the same value for all rows; None otherwise."""
    if not isinstance(constant, tvm.ir.GenericConst):
        return None
    shape = constant.value.numpy().shape
    return constant if len(shape) < rank or shape[0] == 1 else None
