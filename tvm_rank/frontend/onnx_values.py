"""What a converter sees of a node: its inputs as Relax values, some of them constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax

Inputs = list[Any]  # Relax expressions, shape values, or None for an input that is left out
Attributes = dict[str, Any]


class NotConvertible(Exception):
    """A converter refuses the node; the text says why."""


def is_constant(value: Any) -> bool:
    """True for a tensor that is known at import."""
    return isinstance(value, tvm.ir.GenericConst)


def array_of(value: Any) -> np.ndarray:
    """The array of a constant."""
    return value.value.numpy()


def shape_of(value: Any) -> list[Any] | None:
    """The dimensions of a tensor whose rank and shape are known, else None."""
    if not isinstance(value, relax.Expr) or not isinstance(value.ty, relax.TensorType):
        return None
    shape = value.ty.shape
    return list(shape.values) if isinstance(shape, relax.ShapeExpr) else None


def constant(array: np.ndarray) -> Any:
    """The array as a constant of its own dtype: without one, relax.const makes float32 and int32 of the 64-bit types."""
    return relax.const(array, str(array.dtype))
