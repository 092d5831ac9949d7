"""Which items the requests of a benchmark have."""

from __future__ import annotations

import numpy as np

MOST = 16  # different requests of a size


def places(of: np.ndarray, rows: int) -> list[tuple[int, np.ndarray]]:
    """(the request, which rows of the items) for each of up to MOST different requests of so many items."""
    found = []
    for first in range(0, int(np.bincount(of).max()), rows):
        for request in range(int(of.max()) + 1):
            chosen = np.flatnonzero(of == request)[first : first + rows]
            if len(chosen) == rows:
                found.append((request, chosen))
    return found[:MOST]
