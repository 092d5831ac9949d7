"""Compute what depends on the request alone once per request, and split dense layers that mix both sides.

    u = take(user, item_request)                  p = rank.dense(user, W[:k], bias)                     R rows
    h = concat((u, item), axis=1)            ->   y = rank.dense(item, W[k:], 0, p, item_request)       N rows
    y = rank.dense(h, W, bias)                    {activation of y}

    y = rank.dense(take(user, i), W, bias)   ->   y = take(rank.dense(user, W, bias), i)

A `take` along rows by the function's parameter `item_request` marks a request-side value. Concatenations of request-side values, dense
layers over them, and elementwise operators over them and constants without rows run on the R rows of their sources; the `take` moves
behind them. A dense layer over a concatenation of both sides becomes the sum of two: the request part is a bias per row, which the
kernel reads through `item_request`, so a request-side row is never tiled. The rows of W are put into the order of the two parts here.

Everything else keeps its N rows, outputs of the function too. An index out of range means the nearest row before and after.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax

from te_schedules.dense import pack
from te_schedules.dense.op import NAME, dense, layer_of

ELEMENTWISE = frozenset(
    f"relax.{name}" for name in (
        "nn.relu", "nn.leakyrelu", "nn.gelu", "nn.silu", "sigmoid", "tanh", "erf", "exp", "log", "sqrt", "negative", "abs",
        "add", "subtract", "multiply", "divide", "power", "maximum", "minimum",
    )
)  # fmt: skip
_MODES = ("clip", "fast")  # of take; the others do something else with an index out of range than the dense kernel does


@tvm.transform.module_pass(opt_level=0, name="rank.HoistRequestSide")
class HoistRequestSide:
    """See the module's text. `function` is the one to rewrite; `index` the name of its parameter (N,) int32."""

    def __init__(self, function: str = "main", index: str = "item_request"):
        self.function, self.index = function, index

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten; unchanged when nothing in it depends on the request alone."""
        function = mod[self.function]
        index = next((p for p in function.params if p.name == self.index and _is_index(p)), None)
        if index is None or len(function.body.blocks) != 1 or not isinstance(function.body.blocks[0], relax.DataflowBlock):
            return mod
        bindings = _Hoister(index).run(function.body.blocks[0].bindings)
        if bindings is None:
            return mod
        body = relax.SeqExpr([relax.DataflowBlock(bindings)], function.body.body)
        mod = mod.clone()
        mod[self.function] = relax.Function(function.params, body, function.ret_ty, function.is_pure, function.attrs)
        return relax.transform.DeadCodeElimination([self.function])(relax.transform.Normalize()(mod))


@dataclass(frozen=True, eq=False)
class _Part:
    """An operand of a concatenation: the value to use (R or N rows), and its columns in the concatenation."""

    value: relax.Expr
    columns: slice
    is_request: bool


class _Hoister:
    """One walk over the bindings; `sources` maps a request-side variable (N rows) to the value (R rows) that it is taken from."""

    def __init__(self, index: relax.Var):
        self.index = index
        self.requests: relax.Expr | None = None  # R, the extent that all sources share
        self.sources: dict[relax.Expr, relax.Var] = {}
        self.values: dict[relax.Expr, relax.Expr] = {}
        self.sides: dict[tuple[relax.Expr, ...], relax.Var] = {}  # concatenated parts, shared by layers over the same ones
        self.bindings: list[relax.Binding] = []

    def run(self, bindings: Iterable[relax.Binding]) -> list[relax.Binding] | None:
        """The new bindings, or None when nothing changes."""
        changed = False
        for binding in bindings:
            var, value = binding.var, binding.value
            self.values[var] = value
            if (source := self._taken(value)) is not None:
                self.sources[var] = source
            elif (call := self._on_request_rows(value)) is not None:
                self.sources[var] = self._bind(f"{var.name}_request", call)
                binding = relax.VarBinding(var, relax.op.take(self.sources[var], self.index, axis=0, mode="clip"))
                changed = True
            elif (call := self._split(value)) is not None:
                binding, changed = relax.VarBinding(var, call), True
            self.bindings.append(binding)
        return self.bindings if changed else None

    def _bind(self, name: str, call: relax.Call) -> relax.Var:
        call = relax.BlockBuilder().normalize(call)
        var = relax.DataflowVar(name, call.ty)
        self.bindings.append(relax.VarBinding(var, call))
        return var

    def _taken(self, value: relax.Expr) -> relax.Var | None:
        """The source of a take along rows by the index."""
        if _name(value) != "relax.take" or value.args[1] != self.index or str(value.attrs.mode) not in _MODES:
            return None
        source, axis = value.args[0], value.attrs.axis
        shape = _shape(source)
        if not isinstance(source, relax.Var) or not shape or axis is None or int(axis) not in (0, -len(shape)):
            return None
        if self.requests is None:
            self.requests = shape[0]
        return source if tvm.sym.Analyzer().can_prove_equal(shape[0], self.requests) else None

    def _on_request_rows(self, value: relax.Expr) -> relax.Call | None:
        """The same call over the sources of its operands, if they are all request-side, or constants without rows."""
        if (operands := _columns(value)) is not None:
            sources = [self.sources.get(operand) for operand in operands]
            return None if any(s is None for s in sources) else relax.op.concat(sources, axis=1)
        if _name(value) == NAME and len(value.args) == 3 and value.args[0] in self.sources:
            return relax.Call(value.op, [self.sources[value.args[0]], *value.args[1:]], attrs=value.attrs)
        if _name(value) not in ELEMENTWISE or not any(arg in self.sources for arg in value.args):
            return None
        rank = value.ty.ndim
        operands = [self._without_items(arg, rank) for arg in value.args]
        return None if any(operand is None for operand in operands) else relax.Call(value.op, operands, attrs=value.attrs)

    def _without_items(self, operand: relax.Expr, rank: int) -> relax.Expr | None:
        """The source of an operand of that rank, or a constant that is the same for all rows; None for other operands."""
        shape = _shape(operand)
        if isinstance(operand, tvm.ir.GenericConst):
            return operand if not shape or len(shape) < rank or int(shape[0]) == 1 else None
        return self.sources.get(operand) if len(shape) == rank else None

    def _split(self, value: relax.Expr) -> relax.Call | None:
        """The two layers of a dense layer over a concatenation of both sides; the first is bound, the second is given."""
        if _name(value) != NAME or len(value.args) != 3 or not isinstance(value.args[1], tvm.ir.GenericConst):
            return None
        parts = self._parts(value.args[0], 0)
        request, item = [p for p in parts if p.is_request], [p for p in parts if not p.is_request]
        if not request or not item:
            return None
        layer = layer_of(value)
        weight = np.moveaxis(value.args[1].value.numpy(), 0, 1).reshape(layer.depth, -1)[:, : layer.units]

        def product(side: list[_Part], bias: relax.Expr, activation: str, **row_bias: relax.Expr) -> relax.Call:
            packed = relax.const(pack(np.concatenate([weight[part.columns] for part in side]), layer.tiles))
            x = self._side(tuple(part.value for part in side), "request" if side is request else "item")
            return dense(x, packed, bias, units=layer.units, activation=activation, tiles=layer.tiles, **row_bias)

        partial = self._bind("request_part", product(request, value.args[2], "none"))
        zeros = relax.const(np.zeros(layer.units, np.float32))
        return product(item, zeros, layer.activation, row_bias=partial, row_index=self.index)

    def _side(self, values: tuple[relax.Expr, ...], side: str) -> relax.Expr:
        """The values side by side, bound once."""
        if len(values) == 1:
            return values[0]
        if values not in self.sides:
            self.sides[values] = self._bind(f"{side}_side", relax.op.concat(list(values), axis=1))
        return self.sides[values]

    def _parts(self, var: relax.Expr, first: int) -> list[_Part]:
        """`var` in parts of one side each, from left to right; concatenations that mix the sides are opened."""
        end = first + int(_shape(var)[1])
        if var in self.sources:
            return [_Part(self.sources[var], slice(first, end), True)]
        parts: list[_Part] = []
        for operand in _columns(self.values.get(var)) or ():
            parts += self._parts(operand, parts[-1].columns.stop if parts else first)
        return parts if any(part.is_request for part in parts) else [_Part(var, slice(first, end), False)]


def _name(value: relax.Expr | None) -> str | None:
    return value.op.name if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op) else None


def _shape(value: relax.Expr) -> list:
    """The extents of a tensor; empty when they are not known."""
    shape = value.ty.shape if isinstance(value.ty, relax.TensorType) else None
    return list(shape.values) if isinstance(shape, relax.ShapeExpr) else []


def _is_index(param: relax.Var) -> bool:
    return isinstance(param.ty, relax.TensorType) and param.ty.ndim == 1 and param.ty.dtype == "int32"


def _columns(value: relax.Expr | None) -> list[relax.Expr] | None:
    """The operands of a concatenation of matrices along columns; None for other values."""
    if value is None or _name(value) != "relax.concat" or value.attrs.axis is None or not isinstance(value.args[0], relax.Tuple):
        return None
    return list(value.args[0].fields) if value.ty.ndim == 2 and int(value.attrs.axis) in (1, -1) else None
