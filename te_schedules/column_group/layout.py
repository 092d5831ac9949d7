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

from te_schedules import intrin
from te_schedules.bucketize import boundaries
from te_schedules.column_group.copies import Copy, CopySection
from te_schedules.column_group.copies import sections as copy_sections
from te_schedules.feature import Column, Kind

USUAL_IDS, USUAL_ELEMENTS = 2, 20  # of a row or element, and of a sequence, where more may be
ANY = ""  # in the place of a feature's name: a row that any of them refuses, because a GPU has no more memory for it

_VECTORS = (np.dtype(np.int64), np.dtype(np.float64), np.dtype(np.uint8))


@dataclass(frozen=True, kw_only=True, eq=False)
class Use:
    """What becomes of a column: a sink (frozen, compares by value), the output it writes, and int64 constants for the sink.

    fields: numbers of descriptors in place of the column's own · level: uses of a lower level come first · can_refuse: the sink can
    refuse a row, even if the kind cannot
    """

    column: Column
    sink: Any
    output: int = 0
    ints: Mapping[str, int] = field(default_factory=dict)
    fields: tuple[int, ...] | None = None
    level: int = 0
    can_refuse: bool = False

    @property
    def refusable(self) -> bool:
        """True when a row can be refused; a sequence of several inputs refuses different counts of elements."""
        return self.can_refuse or self.column.kind.can_fail or sum(self.column.sequence or ()) > 1


@dataclass(frozen=True, kw_only=True)
class Section:
    """One loop over the columns of one kind, sink and output. `first` is the place of column 0 in the int64 vector, `stride` the
    ints of a column, `places` where each named int lies among them, `sequence` which inputs are read element by element, `level` that of
    its uses, `ids` how many a row is taken to have, `elements` how many it has at most, of a sequence."""

    kind: Kind
    sink: Any
    output: int
    count: int
    first: int
    stride: int
    places: Mapping[str, int]
    sequence: tuple[bool, ...] | None = None
    level: int = 0
    ids: int = 1
    elements: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """The sections and the constant vectors. `refusals` names the columns that can refuse a row, by their place in `status`, the last of
    them ANY where threads of a GPU take memory; `made` is how many features are read by others."""

    sections: tuple[Section, ...]
    ints: np.ndarray
    floats: np.ndarray
    bytes: np.ndarray
    refusals: tuple[str, ...]
    made: int = 0
    copies: tuple[CopySection, ...] = ()  # behind all sections

    @property
    def takes_memory(self) -> bool:
        """Whether its code takes memory on a GPU."""
        return self.refusals[-1:] == (ANY,)


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


def _usual_ids(use: Use) -> int:
    """How many ids a row of a column is taken to have: no data are there to tell."""
    ints = use.column.ints
    return min(ints.get("limit", 1), USUAL_IDS) * min(ints.get("sequence_length", 1), USUAL_ELEMENTS)


def lay_out(uses: Sequence[Use], made: int = 0, copies: Sequence[Copy] = ()) -> Layout:
    """Group the uses into sections, by level and then in the order of their first members, and place all constants."""
    groups: dict[tuple, list[Use]] = {}
    for use in sorted(uses, key=lambda use: use.level):
        key = (use.column.kind, use.sink, use.output, _names(use), use.column.sequence, use.level)
        groups.setdefault(key, []).append(use)
    table_ints = sum(len(names) * len(members) for (_, _, _, names, _, _), members in groups.items())
    copied, copy_ints = copy_sections(copies, table_ints)
    vectors = _Vectors(table_ints + copy_ints.size)
    sections: list[Section] = []
    rows: list[np.ndarray] = []
    refusals: list[str] = []
    first = 0
    for (kind, sink, output, names, sequence, level), members in groups.items():
        for use in members:
            fields = use.column.fields if use.fields is None else use.fields
            known = dict(use.column.ints) | dict(use.ints) | {f"field{k}": f for k, f in enumerate(fields)}
            for name, array in use.column.arrays.items():
                known |= {f"{name}_at": vectors.place(array), f"{name}_count": array.size}
            known["status"] = len(refusals)
            if use.refusable:
                refusals.append(use.column.name)
            rows.append(np.array([known[name] for name in names], np.int64))
        sections.append(Section(kind=kind, sink=sink, output=output, count=len(members), first=first, stride=len(names),
                                places={name: k for k, name in enumerate(names)}, sequence=sequence,
                                level=level, ids=max(map(_usual_ids, members)),
                                elements=max(use.column.ints.get("sequence_length", 1) for use in members)))  # fmt: skip
        first += len(names) * len(members)
    if intrin.on_gpu() and (made or any(section.sequence or section.kind.takes_memory for section in sections)):
        refusals.append(ANY)
    arrays = vectors.parts[_VECTORS[0]]
    return Layout(
        sections=tuple(sections),
        ints=np.concatenate([*rows, copy_ints, *arrays]) if rows else np.zeros(1, np.int64),
        floats=np.concatenate([vectors.stacked(np.float64), np.zeros(boundaries.SCAN)]),
        bytes=vectors.stacked(np.uint8),
        refusals=tuple(refusals),
        made=made,
        copies=copied,
    )
