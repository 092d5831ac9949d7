"""Which inputs of a dense layer share the levels of int8, and what that costs.

The levels of a row are as far apart as its largest number asks for. An input that is much larger than the others, times a weight
that is much smaller, spoils all others; multiplied by a factor that the weight is divided by, it does not. The factors here are
those of SmoothQuant (Xiao et al. 2023): factor[k] = (most |w[k]|) ** (1 - a) / (most |x[k]|) ** a, with the `a` that errs least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvm_rank.ops.reduced_dense import rounded_rows, rounded_weight

STRENGTHS = (0.0, 0.25, 0.5, 0.75)  # `a`; 0 stands for no factors at all
ROWS = 1024  # of x that a layer is judged by


@dataclass(frozen=True, eq=False)
class Judged:
    """factors (K,) f32, None for ones · error: root mean square of what the layer's sums are off, over that of the sums."""

    factors: np.ndarray | None
    error: float


def judge(x: np.ndarray, weight: np.ndarray, precision: str) -> Judged:
    """The best factors of a layer, by rows x (N, K) that it was given and its weight (K, J); without rows, by the weight alone."""
    if not len(x) or not np.isfinite(x).all():
        return Judged(None, _relative(rounded_weight(weight, precision) - weight, weight.astype(np.float64)))
    x = x[np.linspace(0, len(x) - 1, min(len(x), ROWS)).astype(np.int64)]
    exact = x.astype(np.float64) @ weight
    found = [_judged(x, weight, precision, strength, exact) for strength in (STRENGTHS if precision == "int8" else (0.0,))]
    return min(found, key=lambda one: one.error)


def _judged(x: np.ndarray, weight: np.ndarray, precision: str, strength: float, exact: np.ndarray) -> Judged:
    factors = None if strength == 0 else _factors(np.abs(x).max(axis=0), np.abs(weight).max(axis=1), strength)
    got = rounded_rows(x, precision, factors) @ rounded_weight(weight, precision, factors)
    return Judged(factors, _relative(got - exact, exact))


def _factors(x: np.ndarray, weight: np.ndarray, strength: float) -> np.ndarray:
    """Inputs that were never seen, or that have no weight, keep 1."""
    seen = (x > 0) & (weight > 0)
    safe_x, safe_weight = np.where(seen, x, 1).astype(np.float64), np.where(seen, weight, 1).astype(np.float64)
    factors = safe_weight ** (1 - strength) / safe_x**strength
    return np.where(seen, factors / np.median(factors[seen]) if seen.any() else 1, 1).clip(1e-6, 1e6).astype(np.float32)


def _relative(off: np.ndarray, exact: np.ndarray) -> float:
    size = float(np.sqrt((exact**2).mean()))
    return float(np.sqrt((off**2).mean())) / size if size > 0 else 0.0
