"""Layer normalization that a model spells out, as the operator that has a kernel.

    m = mean(x, [-1], keepdims)        v = mean(multiply(d, d), [-1], keepdims)
    d = subtract(x, m)                 n = divide(d, sqrt(add(v, epsilon)))             ->   y = layer_norm(x, g, b, epsilon)
    y = add(multiply(n, g), b)

g and b are constants of the last axis, or absent. PyTorch writes layers so for opsets below 17. Keras has another form of the same:

    s = multiply(divide(1, sqrt(add(v, epsilon))), g)          y = add(multiply(x, s), add(multiply(negative(m), s), b))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import tvm
from tvm import relax, tirx

from relay_passes.graph import call_of, dataflow, extents, with_bindings


@tvm.transform.module_pass(opt_level=0, name="rank.FuseNorms")
class FuseNorms:
    """See the module's text."""

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with `main` rewritten; unchanged where it has no such layer."""
        block = dataflow(mod["main"])
        if block is None:
            return mod
        values = {b.var: b.value for b in block.bindings if isinstance(b, relax.VarBinding)}
        uses = Counter(var for b in block.bindings for var in relax.analysis.free_vars(b.value))
        uses.update(relax.analysis.free_vars(mod["main"].body.body))
        layers = {var: found for var in values if (found := _normalized(var, values)) is not None}
        replaced = {var: found for var in values if (found := _scaled(var, values)) is not None}
        if not layers and not replaced:
            return mod
        users = {var: b.var for b in block.bindings for var in relax.analysis.free_vars(b.value)}
        for var, (x, epsilon) in layers.items():
            last, scale = _then(var, "relax.multiply", values, uses, users)
            last, offset = _then(last, "relax.add", values, uses, users)
            replaced[last] = _layer_norm(x, scale, offset, epsilon)
        bindings = [relax.VarBinding(b.var, replaced[b.var]) if b.var in replaced else b for b in block.bindings]
        return with_bindings(mod, "main", bindings)


def _normalized(var: relax.Var, values: Mapping[relax.Expr, relax.Expr]) -> tuple[relax.Var, float] | None:
    """(x, epsilon) if a value is (x - mean) / sqrt(variance + epsilon) along the last axis."""
    quotient = call_of(values[var], "relax.divide")
    difference = None if quotient is None else call_of(values.get(quotient.args[0]), "relax.subtract")
    if quotient is None or difference is None:
        return None
    x, epsilon, _ = _deviation(quotient.args[1], values) or (None, 0.0, None)
    return (x, epsilon) if x is not None and difference.args[0].same_as(x) else None


def _scaled(var: relax.Var, values: Mapping[relax.Expr, relax.Expr]) -> relax.Call | None:
    """The normalization in Keras' form that a value is."""
    total = call_of(values[var], "relax.add")
    product = None if total is None else call_of(values.get(total.args[0]), "relax.multiply")
    rest = None if total is None else total.args[1]
    offset: np.ndarray | None = None
    if product is None or rest is None:
        return None
    if (shifted := call_of(values.get(rest), "relax.add")) is not None:
        offset, rest = _vector(shifted.args[1]), shifted.args[0]
        if offset is None:
            return None
    moved = call_of(values.get(rest), "relax.multiply")
    negative = None if moved is None else call_of(values.get(moved.args[0]), "relax.negative")
    if moved is None or negative is None or not moved.args[1].same_as(product.args[1]):
        return None
    inverse, scale = product.args[1], None
    if (factor := call_of(values.get(inverse), "relax.multiply")) is not None:
        inverse, scale = factor.args[0], _vector(factor.args[1])
        if scale is None:
            return None
    quotient = call_of(values.get(inverse), "relax.divide")
    if quotient is None or _number(quotient.args[0]) != 1:
        return None
    x, epsilon, mean = _deviation(quotient.args[1], values) or (None, 0.0, None)
    if x is None or not product.args[0].same_as(x) or not negative.args[0].same_as(mean):
        return None
    return _layer_norm(x, scale, offset, epsilon)


def _layer_norm(x: relax.Var, scale: np.ndarray | None, offset: np.ndarray | None, epsilon: float) -> relax.Call:
    width = int(extents(x)[-1])
    constants = [np.ones(width) if scale is None else scale, np.zeros(width) if offset is None else offset]
    arrays = [relax.const(np.broadcast_to(c, (width,)).astype(np.float32)) for c in constants]
    return relax.op.nn.layer_norm(x, *arrays, axes=[-1], epsilon=epsilon)


def _vector(value: relax.Expr) -> np.ndarray | None:
    """A constant of the last axis."""
    if not isinstance(value, tvm.ir.GenericConst):
        return None
    array = value.value.numpy()
    return array.reshape(-1) if array.size == 1 or array.shape[-1] == array.size else None


def _deviation(var: relax.Expr, values: Mapping[relax.Expr, relax.Expr]) -> tuple[relax.Var, float, relax.Expr] | None:
    """(x, epsilon, mean) if a value is sqrt(variance of x + epsilon) along the last axis."""
    root = call_of(values.get(var), "relax.sqrt")
    total = None if root is None else call_of(values.get(root.args[0]), "relax.add")
    if total is None:
        return None
    epsilon = next((_number(part) for part in total.args if _number(part) is not None), None)
    variance = next((part for part in total.args if isinstance(part, relax.Var)), None)
    squares = None if variance is None else _mean_of(variance, values)
    square = None if squares is None else call_of(values.get(squares), "relax.multiply")
    difference = None if square is None else call_of(values.get(square.args[0]), "relax.subtract")
    if epsilon is None or square is None or difference is None:
        return None
    x, mean = difference.args
    if not square.args[1].same_as(square.args[0]) or not isinstance(x, relax.Var):
        return None
    of = _mean_of(mean, values)
    is_known = bool(extents(x)) and isinstance(extents(x)[-1], tirx.IntImm) and x.ty.dtype == "float32"
    return (x, epsilon, mean) if of is not None and of.same_as(x) and is_known else None


def _mean_of(var: relax.Expr, values: Mapping[relax.Expr, relax.Expr]) -> relax.Var | None:
    """What a value is the mean of along the last axis, which stays as one number."""
    call = call_of(values.get(var), "relax.mean")
    if call is None or not call.attrs.keepdims or call.attrs.axis is None or len(call.attrs.axis) != 1:
        return None
    is_last = int(call.attrs.axis[0]) % call.args[0].ty.ndim == call.args[0].ty.ndim - 1
    return call.args[0] if is_last and isinstance(call.args[0], relax.Var) else None


def _number(value: relax.Expr) -> float | None:
    if not isinstance(value, tvm.ir.GenericConst) or value.value.numpy().size != 1:
        return None
    return float(value.value.numpy().item())


def _then(
    var: relax.Var, name: str, values: Mapping[relax.Expr, relax.Expr], uses: Counter, users: Mapping[relax.Var, relax.Var]
) -> tuple[relax.Var, np.ndarray | None]:
    """The only reader of a value and its constant of the last axis, if it is that operator; else the value and None."""
    call = call_of(values.get(users.get(var)), name) if uses[var] == 1 else None
    if call is None:
        return var, None
    other = call.args[1] if call.args[0].same_as(var) else call.args[0]
    if not isinstance(other, tvm.ir.GenericConst) or other.value.numpy().ndim > var.ty.ndim:
        return var, None
    array = other.value.numpy()
    is_vector = array.size == 1 or (array.shape[-1] == array.size == int(extents(var)[-1]))
    return (users[var], array.reshape(-1)) if is_vector else (var, None)
