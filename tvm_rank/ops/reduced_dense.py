"""Dense layers below fp32, `rank.round_rows` and `rank.reduced_dense`: what they compute. te_schedules/dense/reduced registers them,
relay_passes/reduce_dense.py makes them."""

from __future__ import annotations

import numpy as np

from te_schedules.dense.reduced.op import REDUCED_DENSE, ROUND_ROWS
from te_schedules.dense.reduced.pack import int8_levels
from te_schedules.dense.reduced.rows import SMALLEST_SCALE
from te_schedules.gpu.rounded import bf16, rounded
from tvm_rank.ops import dense

__all__ = ["REDUCED_DENSE", "ROUND_ROWS", "bf16", "int8_rows", "reference", "rounded_rows", "rounded_weight"]


FLOATS = ("fp32", "bf16", "fp16", "tf32")  # precisions of numbers that are rounded each for itself; fp16 and tf32 are of GPUs


def int8_rows(x: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (N, K) f32, factors (K,) f32 -> q (N, K) uint8, scale (N,) f32, zero (N,) i32, with x * factors ~ scale * (q - zero).

    Each row for itself: scale = (high - low) / 255 with low = min(0, row), high = max(0, row), and zero = round(-low / scale), as in
    ONNX's DynamicQuantizeLinear. Rows of nearly nothing have scale 1; rows with NaN or infinity scale NaN.
    """
    scaled = x * factors
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = scaled.min(axis=1, initial=0), scaled.max(axis=1, initial=0)
        scale = ((high - low) * np.float32(1 / 255)).astype(np.float32)
        scale = np.where(scale >= np.float32(SMALLEST_SCALE), scale, np.float32(1))
        finite = np.isfinite(scaled).all(axis=1)
        safe, inverse = np.where(finite[:, None], scaled, 0), np.where(finite, np.float32(1) / scale, 1)
        zero = np.rint(np.where(finite, -low, 0) * inverse)
        q = np.clip(np.rint(safe * inverse[:, None] + zero[:, None]), 0, 255).astype(np.uint8)
    return q, np.where(finite, scale, np.float32(np.nan)).astype(np.float32), zero.astype(np.int32)


def rounded_rows(x: np.ndarray, precision: str, factors: np.ndarray | None = None) -> np.ndarray:
    """What a layer of a precision reads of x (N, K), times `factors`: float64."""
    factors = np.ones(x.shape[1], np.float32) if factors is None else factors
    if precision in FLOATS:
        return rounded(x * factors, precision).astype(np.float64)
    q, scale, zero = int8_rows(x, factors)
    return (q.astype(np.int64) - zero[:, None]) * scale.astype(np.float64)[:, None]


def rounded_weight(weight: np.ndarray, precision: str, factors: np.ndarray | None = None) -> np.ndarray:
    """What a layer of a precision keeps of the weight (K, J), each row divided by its factor: float64."""
    weight = weight if factors is None else weight / factors[:, None]
    if precision in FLOATS:
        return rounded(weight, precision).astype(np.float64)
    q, scales = int8_levels(weight)
    return q * scales.astype(np.float64)


def reference(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    activation: str,
    precision: str,
    factors: np.ndarray | None = None,
    **biases: np.ndarray,
) -> np.ndarray:
    """A dense layer whose x and weight are in `precision`; x is multiplied by `factors` (K,), by which the weight is divided. Sums are exact
    (float64). Shapes and biases as of `tvm_rank.ops.dense.reference`.

    bf16, fp16, tf32: both rounded to the nearest, ties to even (tf32: away from zero); in fp16 what is larger than 65504 is 65504, infinity
    too, so that one large number leaves a score finite · int8: rows as `int8_rows` says, each column of the weight by its largest magnitude
    over 127.
    """
    rows, kept = rounded_rows(x, precision, factors), rounded_weight(weight, precision, factors)
    return dense.reference(rows, kept, bias, activation, **biases)
