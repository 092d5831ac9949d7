"""A model of a thousand columns: its files, its items, and the weights that both sides of the benchmark use.

880 bucketized numbers, 50 hashed integers, 50 hashed strings and 20 hashed string lists (15 of dimension 8, 5 of 32), a perceptron
1024-1024-128 behind their 8,120 numbers. Only NumPy and pyarrow are needed here: the peers read the same module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

BUCKETS, HASH_ROWS, MOST_VALUES = 32, 10_000, 6
LAYERS = (1024, 1024, 128, 1)


@dataclass(frozen=True)
class Column:
    """kind: number, integer, text or texts (a list)."""

    name: str
    kind: str
    dim: int

    @property
    def rows(self) -> int:
        """Rows of its table."""
        return BUCKETS + 1 if self.kind == "number" else HASH_ROWS


def columns(scale: float = 1.0) -> list[Column]:
    """All columns; `scale` shrinks each kind, to one column at least."""
    kinds = (("number", 880, 8), ("integer", 50, 8), ("text", 50, 8), ("texts", 15, 8), ("texts", 5, 32))
    return [Column(f"{kind}{dim}_{k}", kind, dim) for kind, count, dim in kinds for k in range(max(1, round(count * scale)))]


def boundaries(column: Column) -> list[float]:
    """The boundaries of a bucketized number, exact in float32."""
    rng = np.random.default_rng([7, *column.name.encode()])
    return [float(x) for x in np.sort(rng.normal(size=BUCKETS).astype(np.float32))]


def table(column: Column) -> np.ndarray:
    """The embeddings, float32 (rows, dim)."""
    rng = np.random.default_rng([8, *column.name.encode()])
    return rng.normal(size=(column.rows, column.dim)).astype(np.float32)


def weights(chosen: list[Column]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(weight, bias) of each layer."""
    rng = np.random.default_rng(9)
    widths = [sum(column.dim for column in chosen), *LAYERS]
    return [
        ((rng.normal(size=(k, j)) / np.sqrt(k)).astype(np.float32), rng.normal(size=j).astype(np.float32))
        for k, j in zip(widths, LAYERS, strict=False)
    ]


def fg(chosen: list[Column]) -> dict[str, Any]:
    """fg.json."""
    entries = []
    for column in chosen:
        entry: dict[str, Any] = {
            "feature_name": column.name,
            "expression": f"item:{column.name}",
            "embedding_dim": column.dim,
            "group": "all",
        }
        if column.kind == "number":
            entry |= {"feature_type": "raw_feature", "boundaries": boundaries(column)}
        else:
            entry |= {"feature_type": "id_feature", "hash_bucket_size": HASH_ROWS, "combiner": "mean"}
        entries.append(entry)
    return {"hash_function": "farm", "features": entries}


def items(chosen: list[Column], rows: int, seed: int = 0) -> pa.RecordBatch:
    """Rows of all columns."""
    rng = np.random.default_rng([10, seed, rows])
    arrays = []
    for column in chosen:
        if column.kind == "number":
            arrays.append(pa.array(rng.normal(size=rows).astype(np.float32)))
        elif column.kind == "integer":
            arrays.append(pa.array(rng.integers(0, 10**9, rows)))
        elif column.kind == "text":
            arrays.append(pa.array([f"value {k}" for k in rng.integers(0, 10**6, rows)]))
        else:
            counts = rng.integers(1, MOST_VALUES + 1, rows)
            flat = pa.array([f"term {k}" for k in rng.integers(0, 10**6, counts.sum())])
            arrays.append(pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32()), flat))
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in chosen])
