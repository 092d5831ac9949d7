"""rank.lookup: the embedding rows of a feature's ids, pooled. `te_schedules/column_group/op.py` registers it, the sink `Pool` computes it."""

from __future__ import annotations

import numpy as np


def reference(values: np.ndarray, lengths: np.ndarray, weights: np.ndarray | None, table: np.ndarray, combiner: str) -> np.ndarray:
    """Pooled embeddings (rows, dim) float32.

    values (nnz,) int64, ids inside the table · lengths (rows,) int32, how many of them each row has · weights (nnz,) float32, or None
    for 1 · table (ids, dim) float32 · combiner: sum, mean, sqrtn or max. With e the embedding and w the weight of each id of a row:

        sum   sum(w * e)        mean   sum(w * e) / sum(w)        sqrtn   sum(w * e) / sqrt(sum(w * w))        max   max(e)

    A row without ids is 0, and so is one whose divisor is 0. max ignores weights. Sums are exact here (float64), so that a kernel is
    measured against the truth and not against another order of rounding.
    """
    ends = np.cumsum(lengths)
    shares = np.ones(len(values)) if weights is None else weights.astype(np.float64)
    pooled = np.zeros((len(lengths), table.shape[1]))
    for row, (start, end) in enumerate(zip(ends - lengths, ends, strict=True)):
        w, e = shares[start:end], table[values[start:end]].astype(np.float64)
        if combiner == "max":
            pooled[row] = e.max(axis=0) if len(e) else 0.0
            continue
        divisor = {"sum": 1.0, "mean": w.sum(), "sqrtn": np.sqrt((w * w).sum())}[combiner]
        pooled[row] = w @ e / divisor if divisor else 0.0
    return pooled.astype(np.float32)
