"""Put constant scales and offsets into the products beside them: what is left of a batch normalization.

    a = matmul(x, W)                                        c = multiply(x, s)
    b = add(a, bias)             a = matmul(x, W s)         d = add(c, t)              a = matmul(x, s W)
    c = multiply(b, s)     ->    d = add(a, bias s + t)     e = matmul(d, W)     ->    e = add(a, t W)
    d = add(c, t)

s and t are numbers or vectors along the last axis; subtraction and division count too. A value that something else reads too is not folded. The
new constants are computed in float64 and rounded once. A chain that stands by no product becomes one multiplication and one addition.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax, tirx

from relay_passes.graph import call_of, dataflow, extents, op_name, same_extents, with_bindings

_STEPS = ("relax.add", "relax.subtract", "relax.multiply", "relax.divide")


@tvm.transform.module_pass(opt_level=0, name="rank.FoldScales")
class FoldScales:
    """See the module's text."""

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with `main` rewritten; unchanged where there is nothing to fold."""
        while (block := dataflow(mod["main"])) is not None:  # an offset that comes from ahead is then one from behind
            graph = _Graph(mod["main"], block)
            bindings = graph.folded()
            if not graph.changed:
                break
            mod = with_bindings(mod, "main", bindings)
        return mod


@dataclass(frozen=True, eq=False)
class _Chain:
    """`source` * scale + offset, in float64, of `steps` operators."""

    source: relax.Expr
    scale: np.ndarray
    offset: np.ndarray
    steps: int

    def then(self, name: str, constant: np.ndarray, *, is_left: bool) -> _Chain | None:
        """What an operator with a constant makes of it; `is_left`: the constant is the first operand."""
        scale, offset = self.scale, self.offset
        if name == "relax.add":
            offset = offset + constant
        elif name == "relax.multiply":
            scale, offset = scale * constant, offset * constant
        elif name == "relax.subtract":
            scale, offset = (-scale, constant - offset) if is_left else (scale, offset - constant)
        elif is_left or not constant.all():
            return None
        else:
            scale, offset = scale / constant, offset / constant
        return _Chain(self.source, scale, offset, self.steps + 1)


class _Graph:
    def __init__(self, function: relax.Function, block: relax.DataflowBlock):
        self.block = block
        self.values = {b.var: b.value for b in block.bindings if isinstance(b, relax.VarBinding)}
        self.uses = Counter(var for b in block.bindings for var in _reads(b.value))
        self.uses.update(relax.analysis.free_vars(function.body.body))
        self.users = {var: b.var for b in block.bindings for var in _reads(b.value)}
        self.changed = False

    def folded(self) -> list[relax.Binding]:
        """The bindings, with folded values in the place of those that they replace; what nobody reads is still there."""
        found: list[relax.Binding] = []
        for binding in self.block.bindings:
            made = None if isinstance(binding, relax.MatchCast) else self._folded(binding.var)
            self.changed |= made is not None
            found += made or [binding]
        return found

    def _folded(self, var: relax.Var) -> list[relax.Binding] | None:
        if (product := call_of(self.values[var], "relax.matmul")) is not None:
            return self._ahead(var, product)
        chain = self._chain(var)
        if chain is None or self._continues(var):
            return None
        product = call_of(self.values.get(chain.source), "relax.matmul")
        weight = None if product is None else _matrix(product.args[1])
        if product is not None and weight is not None and self.uses[chain.source] == 1 and self._plain(product):
            if not np.any(chain.scale != 1) and chain.steps == 1:
                return None  # a bias
            return _layer(var, product.args[0], weight * chain.scale, np.broadcast_to(chain.offset, weight.shape[1:]))
        user = self.users.get(var)
        is_read_by_product = self.uses[var] == 1 and user is not None and self._chain_of_product(user) is not None
        return None if chain.steps < 3 or is_read_by_product else _scaled(var, chain)

    def _plain(self, product: relax.Call) -> bool:
        """True when no scale goes into the product from ahead: one rewrite at a time."""
        chain = self._chain(product.args[0])
        return chain is None or self.uses[product.args[0]] > 1

    def _ahead(self, var: relax.Var, product: relax.Call) -> list[relax.Binding] | None:
        chain, weight = self._chain_of_product(var), _matrix(product.args[1])
        if chain is None or weight is None:
            return None
        scale = np.broadcast_to(chain.scale, weight.shape[:1])
        offset = np.broadcast_to(chain.offset, weight.shape[:1])
        return _layer(var, chain.source, weight * scale[:, None], offset @ weight)

    def _chain_of_product(self, var: relax.Var) -> _Chain | None:
        """The chain that a product with a constant reads alone."""
        product = call_of(self.values.get(var), "relax.matmul")
        if product is None or _matrix(product.args[1]) is None or self.uses[product.args[0]] != 1:
            return None
        chain = self._chain(product.args[0])
        source = None if chain is None else self.values.get(chain.source)
        return None if call_of(source, "relax.matmul") is not None else chain  # that product takes it

    def _chain(self, var: relax.Expr) -> _Chain | None:
        """The steps that end in a value, back to one that something else reads too, or that is none."""
        value = self.values.get(var) if isinstance(var, relax.Var) else None
        if value is None or op_name(value) not in _STEPS or value.ty.dtype != "float32":
            return None
        for k, operand in enumerate(value.args):
            constant, other = _vector(operand, value), value.args[1 - k]
            if constant is None or not isinstance(other, relax.Var) or not same_extents(extents(other), extents(value)):
                continue
            before = self._chain(other) if self.uses[other] == 1 else None
            before = before or _Chain(other, np.ones(1), np.zeros(1), 0)
            return before.then(op_name(value) or "", constant, is_left=k == 0)
        return None

    def _continues(self, var: relax.Var) -> bool:
        """True when the only reader of a value is a further step."""
        return self.uses[var] == 1 and var in self.users and self._chain(self.users[var]) is not None


def _reads(value: relax.Expr) -> list[relax.Var]:
    """The variables that a value reads, each as often as it does."""
    if isinstance(value, relax.Var):
        return [value]
    if isinstance(value, relax.Call):
        return [var for argument in value.args for var in _reads(argument)]
    if isinstance(value, relax.Tuple):
        return [var for element in value.fields for var in _reads(element)]
    return list(relax.analysis.free_vars(value))


def _vector(operand: relax.Expr, value: relax.Call) -> np.ndarray | None:
    """A finite float32 constant that is one number, or one for each place of the last axis, in float64."""
    if not isinstance(operand, tvm.ir.GenericConst) or str(operand.value.dtype) != "float32":
        return None
    array = operand.value.numpy().astype(np.float64)
    shape = extents(value)
    last = int(shape[-1]) if shape and isinstance(shape[-1], tirx.IntImm) else 1
    if array.ndim > len(shape) or array.size not in (1, last) or not np.isfinite(array).all():
        return None
    return array.reshape(-1) if array.size == 1 or array.shape[-1] == array.size else None


def _matrix(operand: relax.Expr) -> np.ndarray | None:
    """A constant float32 matrix in float64."""
    if not isinstance(operand, tvm.ir.GenericConst) or str(operand.value.dtype) != "float32" or len(operand.value.shape) != 2:
        return None
    return operand.value.numpy().astype(np.float64)


def _layer(var: relax.Var, x: relax.Expr, weight: np.ndarray, bias: np.ndarray) -> list[relax.Binding]:
    product = relax.DataflowVar(var.name + "_product", var.ty)
    constants = (relax.const(array.astype(np.float32)) for array in (weight, bias))
    matmul = relax.op.matmul(x, next(constants))
    return [relax.VarBinding(product, matmul), relax.VarBinding(var, relax.op.add(product, next(constants)))]


def _scaled(var: relax.Var, chain: _Chain) -> list[relax.Binding]:
    scaled = relax.DataflowVar(var.name + "_scaled", var.ty)
    scale, offset = (relax.const(array.astype(np.float32)) for array in (chain.scale, chain.offset))
    return [
        relax.VarBinding(scaled, relax.op.multiply(chain.source, scale)),
        relax.VarBinding(var, relax.op.add(scaled, offset)),
    ]
