"""Values that a kernel writes to several outputs: computed once, and copied while they are in the first caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

INTS = 3  # of a copy: first column of the source, first column of the target, columns
ITEM_BYTES = 4


@dataclass(frozen=True)
class Copy:
    """Columns first .. first + width of a float32 output (rows, ...), which are columns at .. at + width of another one too."""

    source: int
    first: int
    target: int
    at: int
    width: int


@dataclass(frozen=True)
class CopySection:
    """The copies from one output to another: `count` of them, whose ints are at `first` of the int64 vector."""

    source: int
    target: int
    count: int
    first: int

    def emit(self, block) -> None:
        """Emit the copies of the rows of a block."""
        source, target = (block.buffers.extra[f"out{number}"] for number in (self.source, self.target))
        with T.serial(T.int64(self.count)) as c:
            at = intrin.let(T.int64(self.first) + c * T.int64(INTS))
            begin, end, size = (intrin.let(block.buffers.ints[at + T.int64(k)] * T.int64(ITEM_BYTES)) for k in range(INTS))
            with T.serial(block.first, block.end) as row:
                intrin.copy(intrin.address_of_row(target, row) + end, intrin.address_of_row(source, row) + begin, size)


def sections(copies: Sequence[Copy], first: int) -> tuple[tuple[CopySection, ...], np.ndarray]:
    """The sections, and their ints, which are at `first` of the vector."""
    groups: dict[tuple[int, int], list[Copy]] = {}
    for copy in copies:
        groups.setdefault((copy.source, copy.target), []).append(copy)
    made: list[CopySection] = []
    ints: list[tuple[int, int, int]] = []
    for (source, target), members in groups.items():
        made.append(CopySection(source, target, len(members), first + INTS * len(ints)))
        ints += [(copy.first, copy.at, copy.width) for copy in members]
    return tuple(made), np.array(ints, np.int64).reshape(-1)
