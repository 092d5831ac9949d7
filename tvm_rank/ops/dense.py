"""The dense layer `rank.dense`: what it computes. te_schedules/dense/op.py registers it, relay_passes/fuse_dense.py makes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from te_schedules.dense.op import NAME, dense
from te_schedules.dense.pack import pack

__all__ = ["NAME", "dense", "pack", "reference"]

_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda y: y,
    "relu": lambda y: np.maximum(y, 0),
    "sigmoid": lambda y: 1 / (1 + np.exp(-y)),
    "tanh": np.tanh,
}


def reference(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    activation: str,
    row_bias: np.ndarray | None = None,
    row_index: np.ndarray | None = None,
    item_bias: np.ndarray | None = None,
    item_index: np.ndarray | None = None,
) -> np.ndarray:
    """A linear layer and its activation; each row may choose one or two more biases.

    x (N, K) f32 · weight (K, J) f32 · bias (J,) f32 · row_bias (R, J) f32 · row_index (N,) i32 · item_bias (S, J) f32 · item_index (N,) i32
    -> (N, J) f32

        out[n, j] = activation(sum_k x[n, k] * weight[k, j] + bias[j] + row_bias[row_index[n], j] + item_bias[item_index[n], j])

    Sums are exact here (float64), so that a kernel is measured against the truth and not against another order of rounding.
    NaN and infinity follow IEEE: 0 * inf is NaN, relu(NaN) is NaN, sigmoid(-inf) is 0. An index out of range takes the nearest
    row. N may be 0.
    """
    total = x.astype(np.float64) @ weight + bias
    for more, index in ((row_bias, row_index), (item_bias, item_index)):
        if more is not None and index is not None:
            total = total + more[np.clip(index, 0, len(more) - 1)]
    with np.errstate(over="ignore"):
        return _ACTIVATIONS[activation](total).astype(np.float32)
