"""Find dense layers with constant weights and pack the weights.

    a = matmul(x, W)           W constant (K, J), or permute_dims of one
    b = add(a, c)              c constant (J,), (1, J) or one number     ->    d = rank.dense(x, packed W, c) {activation: relu}
    d = nn.relu(b)             or sigmoid, tanh

Addition and activation are optional. A value that something else uses too is not fused past: it stays, and what follows reads it.
Gemm's factors are folded: alpha, which the importer multiplies onto x, goes into W, and beta * C is computed here. x of three or
more axes is seen as rows, (N, L, K) -> (N L, K), and the result is given its axes back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax

from te_schedules.dense import DenseTiles, pack
from te_schedules.dense.op import dense

_ACTIVATIONS = {"relax.nn.relu": "relu", "relax.sigmoid": "sigmoid", "relax.tanh": "tanh"}


@tvm.transform.module_pass(opt_level=0, name="rank.FuseDense")
class FuseDense:
    """See the module's text. `tiles` are the knobs of the target, `te_schedules.dense.tiles_for(target)`."""

    def __init__(self, tiles: DenseTiles):
        self.tiles = tiles

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with its dense layers fused; unchanged when it has none."""
        fused = {}
        for name, function in mod.functions_items():
            if isinstance(function, relax.Function) and isinstance(function.body, relax.SeqExpr):
                graph = _Graph(function)
                if layers := graph.layers():
                    fused[name] = graph.rewritten(layers, self.tiles)
        if not fused:
            return mod
        mod = mod.clone()
        for name, function in fused.items():
            mod[name] = function
        mod = relax.transform.Normalize()(mod)
        for name in fused:
            mod[name] = relax.analysis.remove_all_unused(mod[name])
        return mod


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """A dense layer of the graph: `root` is the variable that it defines."""

    root: relax.Var
    x: relax.Expr
    weight: np.ndarray
    bias: np.ndarray
    activation: str


class _Graph:
    """A function in normal form, with what defines its variables and how often each is used."""

    def __init__(self, function: relax.Function):
        self.function = function
        self.values: dict[relax.Var, relax.Expr] = {}
        self.uses: Counter = Counter(relax.analysis.free_vars(function.body.body))
        self.users: dict[relax.Var, relax.Var] = {}  # the last user; it is the only one where uses == 1
        for block in function.body.blocks:
            for binding in block.bindings:
                if isinstance(binding, relax.VarBinding):
                    self.values[binding.var] = binding.value
                for var in _operands(binding.value):
                    self.uses[var] += 1
                    self.users[var] = binding.var

    def layers(self) -> list[_Found]:
        """All dense layers, in graph order."""
        found = (self._layer(var, value) for var, value in self.values.items() if _op_name(value) == "relax.matmul")
        return [layer for layer in found if layer is not None]

    def _layer(self, var: relax.Var, matmul: relax.Call) -> _Found | None:
        """The layer that begins with a matrix product, as long as its values have one user."""
        x, weight = matmul.args[0], self._constant(matmul.args[1])
        if weight is None or weight.ndim != 2 or 0 in weight.shape or not _are_float_rows(x, var):
            return None
        x, scale = self._unscaled(x)
        units = weight.shape[1]
        bias, activation = np.zeros(units, np.float32), "none"
        user = self._only_user(var)
        if (constant := self._bias(user, var, units)) is not None:
            bias, var = constant, user
            user = self._only_user(var)
        if user is not None and isinstance(value := self.values.get(user), relax.Call):
            name = _ACTIVATIONS.get(_op_name(value) or "")
            var, activation = (var, activation) if name is None else (user, name)
        return _Found(root=var, x=x, weight=weight if scale is None else weight * scale, bias=bias, activation=activation)

    def _call(self, expr: relax.Expr | None, name: str) -> relax.Call | None:
        """The call of the operator `name` that defines a variable; None for anything else."""
        value = self.values.get(expr) if isinstance(expr, relax.Var) else None
        return value if isinstance(value, relax.Call) and _op_name(value) == name else None

    def _only_user(self, var: relax.Var) -> relax.Var | None:
        """The variable whose definition is the one use of `var`, if there is just one use and it is in this function."""
        return self.users.get(var) if self.uses[var] == 1 else None

    def _constant(self, expr: relax.Expr | None) -> np.ndarray | None:
        """The float32 array behind a constant, its transpose, or the product of two constants."""
        if isinstance(expr, tvm.ir.GenericConst):
            return expr.value.numpy() if str(expr.value.dtype) == "float32" else None
        if (transposed := self._call(expr, "relax.permute_dims")) is not None:
            array, axes = self._constant(transposed.args[0]), transposed.attrs.axes
            return None if array is None else array.transpose(None if axes is None else [int(axis) for axis in axes])
        if (product := self._call(expr, "relax.multiply")) is not None:
            left, right = (self._constant(factor) for factor in product.args)
            return None if left is None or right is None else left * right
        return None

    def _unscaled(self, x: relax.Expr) -> tuple[relax.Expr, np.ndarray | None]:
        """(y, c) where x = y * c with one constant number c and no other user; else (x, None)."""
        product = self._call(x, "relax.multiply")
        if product is not None and self.uses[x] == 1:
            for operand, other in (product.args, reversed(product.args)):
                factor = self._constant(other)
                if factor is not None and factor.ndim == 0:
                    return operand, factor
        return x, None

    def _bias(self, user: relax.Var | None, var: relax.Var, units: int) -> np.ndarray | None:
        """The bias (units,) if `user` adds a constant that is the same for every row; None otherwise."""
        total = self._call(user, "relax.add")
        if total is None:
            return None
        bias = self._constant(total.args[1] if total.args[0].same_as(var) else total.args[0])
        if (
            bias is None
            or bias.ndim > len(var.ty.shape)
            or bias.shape[-1:] not in ((), (1,), (units,))
            or any(n != 1 for n in bias.shape[:-1])
        ):
            return None
        return np.ascontiguousarray(np.broadcast_to(bias.reshape(-1), (units,)))

    def rewritten(self, layers: list[_Found], tiles: DenseTiles) -> relax.Function:
        """The function with each root computed by `rank.dense`; what is no longer needed is still there, unused."""
        roots = {layer.root: layer for layer in layers}
        blocks = []
        for block in self.function.body.blocks:
            bindings = []
            for binding in block.bindings:
                layer = roots.get(binding.var)
                bindings.extend([binding] if layer is None else _bindings(layer, tiles, isinstance(block, relax.DataflowBlock)))
            blocks.append(type(block)(bindings))
        body = relax.SeqExpr(blocks, self.function.body.body)
        return relax.Function(self.function.params, body, self.function.ret_ty, self.function.is_pure, self.function.attrs)


def _operands(value: relax.Expr) -> list[relax.Var]:
    """The variables that a bound value reads, each as often as it is read (anything nested counts as read twice)."""
    if isinstance(value, relax.Var):
        return [value]
    if isinstance(value, relax.Call):
        return [var for argument in value.args for var in _operands(argument)]
    if isinstance(value, relax.Tuple):
        return [var for element in value.fields for var in _operands(element)]
    if isinstance(value, relax.TupleGetItem):
        return _operands(value.tuple_value)
    return list(relax.analysis.free_vars(value)) * 2


def _op_name(value: relax.Expr | None) -> str | None:
    return value.op.name if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op) else None


def _are_float_rows(x: relax.Expr, product: relax.Var) -> bool:
    """True when x is float32 of a known shape with at least two axes, and so is the product."""
    types = (x.ty, product.ty)
    known = all(isinstance(t, relax.TensorType) and isinstance(t.shape, relax.ShapeExpr) and t.dtype == "float32" for t in types)
    return known and len(x.ty.shape) >= 2


def _bindings(layer: _Found, tiles: DenseTiles, in_dataflow: bool) -> list[relax.VarBinding]:
    """The bindings that define `layer.root`."""
    bindings: list[relax.VarBinding] = []

    def bind(name: str, value: relax.Expr, shape: list) -> relax.Var:
        var = (relax.DataflowVar if in_dataflow else relax.Var)(name, relax.TensorType(shape, "float32"))
        bindings.append(relax.VarBinding(var, value))
        return var

    leading, depth = list(layer.x.ty.shape.values[:-1]), layer.x.ty.shape.values[-1]
    units = layer.weight.shape[1]
    x = layer.x
    if len(leading) > 1:
        rows = leading[0]
        for extent in leading[1:]:
            rows = rows * extent
        x = bind(layer.root.name + "_rows", relax.op.reshape(x, relax.ShapeExpr([rows, depth])), [rows, depth])
    packed = relax.const(pack(np.ascontiguousarray(layer.weight, np.float32), tiles))
    call = dense(x, packed, relax.const(layer.bias), units=units, activation=layer.activation, tiles=tiles)
    if len(leading) > 1:
        y = bind(layer.root.name + "_dense", call, [rows, units])
        call = relax.op.reshape(y, relax.ShapeExpr([*leading, units]))
    return [*bindings, relax.VarBinding(layer.root, call)]
