"""Dense layers over pairs of items and positions, `rank.pair_layers`: what they compute. te_schedules/pair/op.py registers it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from te_schedules.pair.op import NAME, Further, pair_layers
from tvm_rank.ops.dense import reference as dense_reference

__all__ = ["NAME", "Further", "pair_layers", "reference"]


def reference(
    query: np.ndarray,
    keys: np.ndarray,
    row_bias: np.ndarray,
    product: np.ndarray,
    direct: np.ndarray,
    activation: str,
    further: Sequence[tuple[np.ndarray, np.ndarray, str]] = (),
    index: np.ndarray | None = None,
) -> np.ndarray:
    """The layers of every pair (n, l).

    query (N, K) · keys (R, L, K) · row_bias (N, J) · product, direct (K, J) · further: (weight, bias, activation) of each layer behind
    the first · index (N,) i32, None when R is N; all others float32 -> (N, L, units of the last layer) f32

        y[n, l] = activation(sum_k keys[i(n), l, k] (query[n, k] product[k] + direct[k]) + row_bias[n]),   i(n) = index[n] or n

    An index out of range takes the nearest row.
    """
    count, length = len(query), keys.shape[1]
    rows = np.arange(count) if index is None else np.clip(index, 0, len(keys) - 1)
    matrices = query[:, :, None].astype(np.float64) * product + direct
    total = np.einsum("nlk,nkj->nlj", keys[rows].astype(np.float64), matrices) + row_bias[:, None]
    units = total.shape[-1]
    y = dense_reference(total.reshape(-1, units).astype(np.float32), np.eye(units, dtype=np.float32), np.zeros(units), activation)
    for weight, bias, name in further:
        y = dense_reference(y, weight, bias, name)
    return y.reshape(count, length, -1)
