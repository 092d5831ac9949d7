"""Remove transposes and reshapes that others undo or complete.

    a = permute_dims(x, [0, 2, 1])                     a = reshape(x, (N, 4, 5))
    y = permute_dims(a, [0, 2, 1])    ->    x          y = reshape(a, (N, 20))         ->    y = reshape(x, (N, 20))

squeeze, expand_dims and flatten are reshapes, and so is a transposition that moves axes of one number only. A reshape to the shape that
a value has is the value. Axes of one number that are only added or dropped stay operators of their own: they are fused into kernels, and a
reshape is not. What something else reads too stays for that.
"""

from __future__ import annotations

from collections.abc import Mapping

import tvm
from tvm import relax, tirx

from relay_passes.graph import dataflow, extents, op_name, same_extents, with_bindings

_RESHAPES = ("relax.reshape", "relax.squeeze", "relax.expand_dims", "relax.flatten")
_TRANSPOSE = "relax.permute_dims"


@tvm.transform.module_pass(opt_level=0, name="rank.RemoveMoves")
class RemoveMoves:
    """See the module's text."""

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with `main` rewritten; unchanged where no move is removed."""
        block = dataflow(mod["main"])
        if block is None:
            return mod
        known: dict[relax.Expr, relax.Expr] = {}  # the new value of each variable
        bindings, changed = [], False
        for binding in block.bindings:
            value = None if isinstance(binding, relax.MatchCast) else _shorter(binding.value, known)
            changed |= value is not None
            bindings.append(binding if value is None else relax.VarBinding(binding.var, value))
            if not isinstance(binding, relax.MatchCast):
                known[binding.var] = binding.value if value is None else value
        if not changed:
            return mod
        return relax.transform.CanonicalizeBindings()(with_bindings(mod, "main", bindings))


def _shorter(value: relax.Expr, known: Mapping[relax.Expr, relax.Expr]) -> relax.Expr | None:
    """The same by fewer moves; None when there is no such way."""
    if not _is_move(value) or not isinstance(value.args[0], relax.Var):
        return None
    source = value.args[0]
    before = known.get(source)
    if isinstance(before, relax.Var):  # it became another value
        source, before = before, known.get(before)
    axes = _axes(value)
    if axes is not None and before is not None and (inner := _axes(before)) is not None:
        axes = [inner[axis] for axis in axes]
        source = before.args[0]
        return source if axes == sorted(axes) else relax.op.permute_dims(source, axes)
    if axes is not None and not _keeps_order(source, axes):
        return None if source is value.args[0] else relax.op.permute_dims(source, axes)
    is_view = axes is not None or "relax.reshape" in (op_name(value), op_name(before))
    if before is not None and _is_reshape(before):
        source = before.args[0]
    if same_extents(extents(source), extents(value)):
        return source
    is_same = source is value.args[0] and axes is None
    return None if is_same or not is_view else relax.op.reshape(source, relax.ShapeExpr(extents(value)))


def _is_move(value: relax.Expr) -> bool:
    return (op_name(value) in _RESHAPES or op_name(value) == _TRANSPOSE) and bool(extents(value))


def _is_reshape(value: relax.Expr) -> bool:
    if not isinstance(value, relax.Call) or not isinstance(value.args[0], relax.Var):
        return False
    axes = _axes(value)
    return op_name(value) in _RESHAPES or (axes is not None and _keeps_order(value.args[0], axes))


def _axes(value: relax.Expr) -> list[int] | None:
    """The axes of a transposition; None for other values."""
    if op_name(value) != _TRANSPOSE or not isinstance(value.args[0], relax.Var):
        return None
    rank = value.args[0].ty.ndim
    given = value.attrs.axes
    return [int(axis) % rank for axis in given] if given is not None else list(range(rank))[::-1]


def _keeps_order(source: relax.Expr, axes: list[int]) -> bool:
    """True when the axes that have more than one number stay in their order."""
    moved = [axis for axis in axes if not (isinstance(extents(source)[axis], tirx.IntImm) and int(extents(source)[axis]) == 1)]
    return moved == sorted(moved)
