"""How trees are walked, as named decisions: nothing here changes what is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ORDERS = ("masks", "trees", "rows")
LANES = (8, 16, 32)
MOST_ROWS = 4096
MOST_THREADS = 1024


@dataclass(frozen=True, kw_only=True)
class TreeKnobs:
    """order: `masks`, 128 rows ask all nodes of a tree before those of the next one, where an ensemble fits (`masks.py`), else as `trees`;
    `trees`, all rows of a block walk through one tree before the next one is begun, so that its nodes stay in the first cache; `rows`, a few
    rows walk through all trees · lanes: rows (or trees, where rows are left over) that are walked at a time, so that the processor has
    something to do while a node is loaded · block_rows: rows of a block that are walked, which is what a thread takes · threads: 0 for a
    CPU; else how many threads a block of a GPU has, each with one row, and the others mean nothing.
    """

    order: str = "masks"
    lanes: int = 8
    block_rows: int = 64
    threads: int = 0

    def __post_init__(self):
        if self.order not in ORDERS:
            raise ValueError(f"TreeKnobs.order is {self.order!r}; it must be one of {', '.join(ORDERS)}")
        if self.lanes not in LANES:
            raise ValueError(f"TreeKnobs.lanes is {self.lanes!r}; it must be one of {', '.join(map(str, LANES))}")
        if not isinstance(self.block_rows, int) or not 1 <= self.block_rows <= MOST_ROWS:
            raise ValueError(f"TreeKnobs.block_rows is {self.block_rows!r}; it must be an integer from 1 to {MOST_ROWS}")
        if not isinstance(self.threads, int) or not 0 <= self.threads <= MOST_THREADS:
            raise ValueError(f"TreeKnobs.threads is {self.threads!r}; it must be an integer from 0 to {MOST_THREADS}")

    @staticmethod
    def gpu_space() -> Mapping[str, tuple]:
        """What tuning tries on a GPU."""
        return {"threads": (32, 64, 128, 256)}


# What tuning tries for each knob.
SPACE: Mapping[str, tuple] = {"order": ORDERS, "lanes": LANES, "block_rows": (16, 32, 64, 128, 256, 512)}
