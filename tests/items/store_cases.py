"""Items with keys of both types, and what a test knows of a saved store."""

from __future__ import annotations

import pathlib
import sys
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute

import tvm_rank

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "artifact"))
import small_model

ITEMS = 50
KEYS = {
    "string": pa.array([f"item {k * 7919 % 1000} {'long ' * (k % 9)}" for k in range(ITEMS)]),
    "int64": pa.array(np.arange(ITEMS, dtype=np.int64) * 7919 - 100_000),
}


def item_table(key_type: str, seed: int = 0) -> pa.Table:
    """All items of a store, with nulls among their fields; `seed` moves the fields."""
    columns = small_model.items(ITEMS)
    order = pa.array(np.roll(np.arange(ITEMS), seed))
    columns = {name: column.take(order) for name, column in columns.items()}
    gaps = pa.array([k % 11 == 3 for k in range(ITEMS)])
    columns = {name: pa.compute.if_else(gaps, pa.scalar(None, column.type), column) for name, column in columns.items()}
    return pa.table({"key": KEYS[key_type], **columns})


@dataclass(frozen=True)
class Store:
    """A saved artifact with a store, and its engine."""

    key_type: str
    folder: pathlib.Path
    artifact: tvm_rank.Artifact
    engine: tvm_rank.Engine

    def ids(self, rows) -> pa.Array:
        """The ids of these rows of the items."""
        return KEYS[self.key_type].take(pa.array(rows))
