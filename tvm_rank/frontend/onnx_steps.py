"""Steps along an axis at import: reading one, and putting those that were computed back together. Used by recurrent layers and loops.

A value of step t is read with an index that is a tensor, so that all steps share a kernel. Sequences that are exported with the steps first
are read from the batch-first value behind the transposition, and results are stacked batch first and transposed: the passes know rows by
the first axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, tirx

from tvm_rank.frontend.onnx_values import NotConvertible, array_of, constant, is_constant, shape_of

MAX_STEPS = 1024
FAN_IN = 8  # values of one concatenation: a kernel chooses among them by nested conditions


def emit(value: Any) -> Any:
    """The value bound to a variable."""
    return relax.BlockBuilder.current().emit(value)


def steps_along(x: Any, axis: int) -> int:
    """The number of steps, which must be known and not too many."""
    dims = shape_of(x)
    if dims is None or not isinstance(dims[axis], tirx.IntImm):
        raise NotConvertible("the number of its steps depends on the data; export it with sequences of a fixed length")
    count = int(dims[axis])
    if count > MAX_STEPS:
        raise NotConvertible(f"it has {count} steps, and each is compiled by itself, up to {MAX_STEPS}; use shorter sequences")
    return count


def step(x: Any, axis: int, at: int) -> Any:
    """x at one place of an axis, without the axis."""
    source, axis = behind_transposition(x, axis)
    return emit(relax.op.take(source, constant(np.array(at, np.int64)), axis=axis, mode="clip"))


def behind_transposition(x: Any, axis: int) -> tuple[Any, int]:
    """(the batch-first value, the axis there) of what is transposed to have the steps first."""
    value = relax.BlockBuilder.current().lookup_binding(x) if isinstance(x, relax.Var) else None
    if isinstance(value, relax.Call) and getattr(value.op, "name", "") == "relax.permute_dims" and value.attrs.axes is not None:
        axes = [int(a) for a in value.attrs.axes]
        rest = axes[:axis] + axes[axis + 1 :]
        if rest == sorted(rest):
            return value.args[0], axes[axis]
    return x, axis


def stacked(values: Sequence[Any], axis: int) -> Any:
    """The values along a new axis."""
    if axis == 0 and len(shape_of(values[0]) or []) > 0:
        together = stacked(values, 1)
        order = list(range(len(shape_of(together) or [])))
        return emit(relax.op.permute_dims(together, [1, 0, *order[2:]]))
    parts = [emit(relax.op.expand_dims(value, axis)) for value in values]
    while len(parts) > 1:
        groups = [parts[k : k + FAN_IN] for k in range(0, len(parts), FAN_IN)]
        parts = [group[0] if len(group) == 1 else emit(relax.op.concat(group, axis=axis)) for group in groups]
    return parts[0]


_SAME_NUMBERS = frozenset(
    f"relax.{name}" for name in ("broadcast_to", "reshape", "expand_dims", "squeeze", "permute_dims", "take", "strided_slice")
)


def is_zeros(value: Any) -> bool:
    """True for None, and for zeros in a shape of the batch, as exporters write an initial state: they need no rows of their own."""
    if value is None:
        return True
    if is_constant(value):
        return not array_of(value).any()
    found = relax.BlockBuilder.current().lookup_binding(value) if isinstance(value, relax.Var) else value
    name = getattr(found.op, "name", "") if isinstance(found, relax.Call) else ""
    if name == "relax.full":
        return is_zeros(found.args[1])
    return name == "relax.zeros" or (name in _SAME_NUMBERS and is_zeros(found.args[0]))
