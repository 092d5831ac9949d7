"""Operators that work on each row alone: row n of the result comes from row n of the operands.

Such an operator gives the same rows whether its operands have a row for each item or a row for each request; `on_rows` writes the
call for another number of rows. What is not in the table is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tvm import ir, relax, tirx

from relay_passes.graph import extents, op_name, same_extents
from te_schedules.dense.op import NAME as DENSE
from te_schedules.trees.kernel import NAME as TREES

_UNARY = (
    "nn.relu", "nn.leakyrelu", "nn.gelu", "nn.gelu_tanh", "nn.silu", "nn.softplus", "nn.selu", "sigmoid", "tanh", "erf", "exp",
    "log", "sqrt", "rsqrt", "square", "negative", "abs", "sign", "floor", "ceil", "round", "trunc", "sin", "cos", "tan", "clip",
    "astype", "logical_not", "isnan", "isinf", "isfinite",
)  # fmt: skip
_BINARY = (
    "add", "subtract", "multiply", "divide", "floor_divide", "power", "maximum", "minimum", "mod", "equal", "not_equal", "less",
    "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor", "where",
)  # fmt: skip
_ELEMENTWISE = frozenset(f"relax.{name}" for name in (*_UNARY, *_BINARY))
_REDUCTIONS = frozenset(
    f"relax.{name}" for name in ("sum", "mean", "max", "min", "prod", "variance", "std", "argmax", "argmin", "cumsum")
)
_SOFTMAX = frozenset(("relax.nn.softmax", "relax.nn.log_softmax"))
_NORMS = frozenset(("relax.nn.layer_norm", "relax.nn.rms_norm"))
_SHAPED = frozenset(("relax.reshape", "relax.broadcast_to"))  # the second argument is the shape of the result


def on_rows(call: relax.Expr, sources: Mapping[relax.Expr, relax.Var], items: tirx.PrimExpr) -> relax.Call | None:
    """The call over the request rows of its operands, or None when it needs more than those.

    sources: item-row value -> the value with request rows that it is taken from · items: the extent N of what is taken. An operand
    is in `sources`, or a constant that has no rows; at least one is in `sources`.
    """
    name, shape = op_name(call), extents(call)
    if name is None or not shape or not same_extents(shape[:1], [items]):
        return None
    operands = _operands(call)
    if not any(operand in sources for operand in operands) or not _is_row_wise(name, call, operands, sources):
        return None
    moved = {operand: sources.get(operand, operand) for operand in operands}
    requests = extents(next(source for operand, source in moved.items() if operand in sources))[0]
    arguments = [_moved(argument, moved, items, requests) for argument in call.args]
    found = relax.BlockBuilder().normalize(relax.Call(call.op, arguments, attrs=call.attrs, ty_args=call.ty_args))
    return found if same_extents(extents(found), [requests, *shape[1:]]) and found.ty.dtype == call.ty.dtype else None


def _operands(call: relax.Call) -> list[relax.Expr]:
    """The tensors that a call reads."""
    inner = [part for a in call.args for part in (a.fields if isinstance(a, relax.Tuple) else [a])]
    return [part for part in inner if isinstance(part.ty, relax.TensorType)]


def _moved(
    argument: relax.Expr, moved: Mapping[relax.Expr, relax.Expr], items: tirx.PrimExpr, requests: tirx.PrimExpr
) -> relax.Expr:
    if isinstance(argument, relax.Tuple):
        return relax.Tuple([moved.get(part, part) for part in argument.fields])
    if isinstance(argument, relax.ShapeExpr) and len(argument.values) and same_extents([argument.values[0]], [items]):
        return relax.ShapeExpr([requests, *argument.values[1:]])
    return moved.get(argument, argument)


def _is_row_wise(name: str, call: relax.Call, operands: list[relax.Expr], sources: Mapping[relax.Expr, relax.Var]) -> bool:
    if name in _ELEMENTWISE:
        return all(_has_rows_or_none(operand, call.ty.ndim, sources) for operand in operands)
    rule = _RULES.get(name)
    return rule is not None and rule(call, operands, sources)


def _has_rows_or_none(operand: relax.Expr, ndim: int, sources: Mapping[relax.Expr, relax.Var]) -> bool:
    """True for a request-side value of that rank, and for a constant that is the same for all rows."""
    shape = extents(operand)
    if isinstance(operand, ir.GenericConst):
        return not shape or len(shape) < ndim or int(shape[0]) == 1
    return operand in sources and len(shape) == ndim


Rule = Callable[[relax.Call, list[relax.Expr], Mapping[relax.Expr, relax.Var]], bool]


def _axes(call: relax.Call, ndim: int, attribute: str = "axis") -> list[int] | None:
    """The axes of an attribute, none of them negative; None when it names none."""
    value = getattr(call.attrs, attribute)
    if value is None:
        return None
    axes = [int(axis) for axis in value] if isinstance(value, (ir.Array, list, tuple)) else [int(value)]
    return [axis % ndim for axis in axes]


def _not_along_rows(attribute: str = "axis", result: bool = False) -> Rule:
    """A rule: every operand has request rows, but for constants beside the first one, and the named axes are not the rows."""

    def rule(call: relax.Call, operands: list[relax.Expr], sources: Mapping[relax.Expr, relax.Var]) -> bool:
        axes = _axes(call, (call if result else operands[0]).ty.ndim, attribute)
        constant = all(other in sources or isinstance(other, ir.GenericConst) for other in operands[1:])
        return axes is not None and 0 not in axes and operands[0] in sources and constant

    return rule


def _of_concat(call: relax.Call, operands: list[relax.Expr], sources: Mapping[relax.Expr, relax.Var]) -> bool:
    axes = _axes(call, call.ty.ndim)
    return axes is not None and 0 not in axes and all(operand in sources for operand in operands)


def _of_permutation(call: relax.Call, operands: list[relax.Expr], _sources: Mapping[relax.Expr, relax.Var]) -> bool:
    axes = _axes(call, operands[0].ty.ndim, "axes")
    return axes is not None and axes[0] == 0


def _of_shape(call: relax.Call, operands: list[relax.Expr], _sources: Mapping[relax.Expr, relax.Var]) -> bool:
    """Rows stay rows: the first extent of operand and result is N, and the ranks are such that the first axis is the first axis."""
    shape = call.args[1]
    if not isinstance(shape, relax.ShapeExpr) or not same_extents(extents(operands[0])[:1], list(shape.values[:1])):
        return False
    return op_name(call) == "relax.reshape" or len(shape.values) == operands[0].ty.ndim


def _of_slice(call: relax.Call, operands: list[relax.Expr], sources: Mapping[relax.Expr, relax.Var]) -> bool:
    axes = [int(axis) for axis in call.args[1].fields] if isinstance(call.args[1], relax.Tuple) else []
    return bool(axes) and all(axis % operands[0].ty.ndim for axis in axes) and operands[0] in sources


def _of_take(call: relax.Call, operands: list[relax.Expr], sources: Mapping[relax.Expr, relax.Var]) -> bool:
    constant = isinstance(operands[1], ir.GenericConst)
    return constant and call.attrs.axis is not None and int(call.attrs.axis) % operands[0].ty.ndim != 0 and operands[0] in sources


def _of_matmul(_call: relax.Call, operands: list[relax.Expr], sources: Mapping[relax.Expr, relax.Var]) -> bool:
    """Rows times a constant matrix, or a product for each row."""
    left, right = operands
    if left in sources and isinstance(right, ir.GenericConst):
        return left.ty.ndim >= 2 and len(extents(right)) <= 2
    if right in sources and isinstance(left, ir.GenericConst):
        return right.ty.ndim >= 3 and len(extents(left)) <= 2
    return left in sources and right in sources and left.ty.ndim == right.ty.ndim >= 3


def _of_dense(call: relax.Call, operands: list[relax.Expr], sources: Mapping[relax.Expr, relax.Var]) -> bool:
    return len(call.args) == 3 and operands[0] in sources


def _of_trees(_call: relax.Call, operands: list[relax.Expr], sources: Mapping[relax.Expr, relax.Var]) -> bool:
    return operands[0] in sources


_RULES: dict[str, Rule] = {
    **dict.fromkeys((*_REDUCTIONS, *_SOFTMAX, "relax.squeeze"), _not_along_rows()),
    **dict.fromkeys(_NORMS, _not_along_rows("axes")),
    **dict.fromkeys(_SHAPED, _of_shape),
    "relax.expand_dims": _not_along_rows(result=True),
    "relax.concat": _of_concat,
    "relax.permute_dims": _of_permutation,
    "relax.strided_slice": _of_slice,
    "relax.take": _of_take,
    "relax.matmul": _of_matmul,
    DENSE: _of_dense,
    TREES: _of_trees,
}
