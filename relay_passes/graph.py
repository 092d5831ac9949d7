"""What passes ask of Relax expressions."""

from __future__ import annotations

from collections.abc import Callable

import tvm
from tvm import relax, tirx

Rewrite = Callable[[relax.Var, relax.DataflowBlock], list[relax.Binding] | None]
INDEX = "item_request"  # parameter (N,) int32: the request of each item
_MODES = ("clip", "fast")  # of take; the others do something else with an index out of range than the kernels do


def op_name(value: relax.Expr | None) -> str | None:
    """The name of the operator of a call; None for other values."""
    return value.op.name if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op) else None


def call_of(value: relax.Expr | None, *names: str) -> relax.Call | None:
    """The value, if it is a call of one of the operators."""
    return value if op_name(value) in names else None


def extents(value: relax.Expr) -> list[tirx.PrimExpr]:
    """The extents of a tensor; empty when they are not known."""
    shape = value.ty.shape if isinstance(value.ty, relax.TensorType) else None
    return list(shape.values) if isinstance(shape, relax.ShapeExpr) else []


def same_extents(left: list[tirx.PrimExpr], right: list[tirx.PrimExpr]) -> bool:
    """True when two shapes are provably the same."""
    return len(left) == len(right) and all(tvm.sym.Analyzer().can_prove_equal(a, b) for a, b in zip(left, right, strict=True))


def index_of(function: relax.Function, name: str = INDEX) -> relax.Var | None:
    """The parameter that says which request an item belongs to, int32 (N,)."""
    return next((p for p in function.params if p.name == name and len(extents(p)) == 1 and p.ty.dtype == "int32"), None)


def dataflow(function: relax.Function) -> relax.DataflowBlock | None:
    """The one dataflow block that is the body of a function; None for functions of another form."""
    blocks = function.body.blocks if isinstance(function.body, relax.SeqExpr) else []
    return blocks[0] if len(blocks) == 1 and isinstance(blocks[0], relax.DataflowBlock) else None


def taken(value: relax.Expr | None, index: relax.Var) -> relax.Var | None:
    """The source of a take along rows by the index: a value with a row for each request."""
    if value is None or op_name(value) != "relax.take" or value.args[1] != index or str(value.attrs.mode) not in _MODES:
        return None
    source, axis = value.args[0], value.attrs.axis
    shape = extents(source)
    is_rows = isinstance(source, relax.Var) and shape and axis is not None and int(axis) in (0, -len(shape))
    return source if is_rows else None


def rewritten(mod: tvm.IRModule, name: str, index: str, rewrite: Rewrite) -> tvm.IRModule:
    """The module with the bindings of a function rewritten: normalized, and cleared of what nobody reads.

    rewrite(the parameter `index`, the one dataflow block) gives the new bindings, or None to leave the module as it is; so is one whose
    function has another form, or no such parameter.
    """
    found, block = index_of(mod[name], index), dataflow(mod[name])
    bindings = None if found is None or block is None else rewrite(found, block)
    return mod if bindings is None else with_bindings(mod, name, bindings)


def with_bindings(mod: tvm.IRModule, name: str, bindings: list[relax.Binding]) -> tvm.IRModule:
    """The module with other bindings in a function, which are normalized and cleared of what nobody reads."""
    function = mod[name]
    body = relax.SeqExpr([relax.DataflowBlock(bindings)], function.body.body)
    mod = mod.clone()
    mod[name] = relax.Function(function.params, body, function.ret_ty, function.is_pure, function.attrs)
    return relax.transform.DeadCodeElimination([name])(relax.transform.Normalize()(mod))
