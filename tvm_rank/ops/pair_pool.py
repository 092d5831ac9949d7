"""The weighted sum over the positions of a sequence, `rank.pair_pool`: what it computes. te_schedules/pair/pool.py registers it."""

from __future__ import annotations

import numpy as np

from te_schedules.pair.pool import NAME, pair_pool

__all__ = ["NAME", "pair_pool", "reference"]


def reference(weights: np.ndarray, keys: np.ndarray, index: np.ndarray | None = None) -> np.ndarray:
    """weights (N, L) f32, keys (R, L, D) f32, index (N,) i32 or None when R is N -> (N, D) f32

    out[n] = sum_l weights[n, l] keys[i(n), l],   i(n) = index[n] or n; an index out of range takes the nearest row
    """
    rows = np.arange(len(weights)) if index is None else np.clip(index, 0, len(keys) - 1)
    return np.einsum("nl,nld->nd", weights.astype(np.float64), keys[rows]).astype(np.float32)
