"""Column groups: features of one kind and one use share a loop; this file lays their constants out in three vectors.

section 0: kind A, pooled     ints = [ column 0: field0 size magic .. out | column 1: ... | ... ]
section 1: kind B, numbers             ...
                              arrays of all columns follow: their places are ints of the column (`<name>_at`, `<name>_count`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from te_schedules.feature import Column, Kind

_VECTORS = (np.dtype(np.int64), np.dtype(np.float64), np.dtype(np.uint8))


@dataclass(frozen=True, kw_only=True, eq=False)
class Use:
    """What becomes of a column: a sink (frozen, compares by value), the output it writes, and int64 constants for the sink."""

    column: Column
    sink: Any
    output: int = 0
    ints: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Section:
    """One loop over the columns of one kind, sink and output. `first` is the place of column 0 in the int64 vector, `stride` the
    ints of a column, `places` where each named int lies among them."""

    kind: Kind
    sink: Any
    output: int
    count: int
    first: int
    stride: int
    places: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """The sections and the constant vectors. `refusals` names the columns that can refuse a row, by their place in `status`."""

    sections: tuple[Section, ...]
    ints: np.ndarray
    floats: np.ndarray
    bytes: np.ndarray
    refusals: tuple[str, ...]


class _Vectors:
    """Constant arrays, stacked by dtype; equal arrays are kept once."""

    def __init__(self, ints_before: int):
        self.lengths = {dtype: 0 for dtype in _VECTORS}
        self.lengths[_VECTORS[0]] = ints_before
        self.parts: dict[np.dtype, list[np.ndarray]] = {dtype: [] for dtype in _VECTORS}
        self._known: dict[tuple[np.dtype, bytes], int] = {}

    def place(self, array: np.ndarray) -> int:
        """Where the array lies in the vector of its dtype."""
        key = (array.dtype, array.tobytes())
        if key not in self._known:
            self._known[key] = self.lengths[array.dtype]
            self.parts[array.dtype].append(array)
            self.lengths[array.dtype] += array.size
        return self._known[key]

    def stacked(self, dtype: type) -> np.ndarray:
        """The vector of a dtype, never empty."""
        parts = self.parts[np.dtype(dtype)]
        return np.concatenate(parts) if self.lengths[np.dtype(dtype)] else np.zeros(1, dtype)


def _names(use: Use) -> tuple[str, ...]:
    column = use.column
    arrays = [f"{name}_{what}" for name in sorted(column.arrays) for what in ("at", "count")]
    return (*(f"field{k}" for k in range(len(column.fields))), *sorted(column.ints), *sorted(use.ints), *arrays, "status")


def lay_out(uses: Sequence[Use]) -> Layout:
    """Group the uses into sections, in the order of their first members, and place all constants."""
    groups: dict[tuple, list[Use]] = {}
    for use in uses:
        groups.setdefault((use.column.kind, use.sink, use.output, _names(use)), []).append(use)
    table_ints = sum(len(names) * len(members) for (_, _, _, names), members in groups.items())
    vectors = _Vectors(table_ints)
    sections: list[Section] = []
    rows: list[np.ndarray] = []
    refusals: list[str] = []
    first = 0
    for (kind, sink, output, names), members in groups.items():
        for use in members:
            known = dict(use.column.ints) | dict(use.ints) | {f"field{k}": f for k, f in enumerate(use.column.fields)}
            for name, array in use.column.arrays.items():
                known |= {f"{name}_at": vectors.place(array), f"{name}_count": array.size}
            known["status"] = len(refusals)
            if kind.can_fail:
                refusals.append(use.column.name)
            rows.append(np.array([known[name] for name in names], np.int64))
        sections.append(Section(kind=kind, sink=sink, output=output, count=len(members), first=first, stride=len(names),
                                places={name: k for k, name in enumerate(names)}))  # fmt: skip
        first += len(names) * len(members)
    arrays = vectors.parts[_VECTORS[0]]
    return Layout(
        sections=tuple(sections),
        ints=np.concatenate([*rows, *arrays]) if rows else np.zeros(1, np.int64),
        floats=vectors.stacked(np.float64),
        bytes=vectors.stacked(np.uint8),
        refusals=tuple(refusals),
    )
