"""The compile-time constants of a kernel that scores trees, and its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from te_schedules.trees import mask_kernel
from te_schedules.trees.ensemble import Aggregate
from te_schedules.trees.knobs import TreeKnobs

_SCRATCH_BYTES = 256 << 10  # of the copied features of a block: wide rows make small blocks


@dataclass(frozen=True, kw_only=True)
class Forest:
    """The compile-time constants of a kernel. How many trees and nodes there are is not among them, so that ensembles share kernels.

    bits: of a column, at most 1 << bits columns · lists: what leaves add is in lists · mask_bytes: of the masks of leaves, 0 without.
    """

    targets: int
    aggregate: Aggregate
    bits: int
    lists: bool
    knobs: TreeKnobs
    mask_bytes: int = 0

    @property
    def name(self) -> str:
        """The kernel's name: what it computes, whatever its knobs are."""
        more = f"_masks{self.mask_bytes}" if self.mask_bytes else "_lists" * self.lists
        return f"trees_{1 << self.bits}x{self.targets}_{self.aggregate.value.lower()}{more}"

    @property
    def has_masks(self) -> bool:
        """Whether rows are scored with masks."""
        return self.mask_bytes > 0 and self.knobs.order == "masks"

    @property
    def block_rows(self) -> int:
        """Rows of a block, a multiple of the lanes, whose features and sums are not too many."""
        lanes = self.knobs.lanes
        if self.has_masks:
            return mask_kernel.ROWS
        most = max(1, min(self.knobs.block_rows, _SCRATCH_BYTES // ((4 << self.bits) + 8 * self.targets)))
        return max(lanes, most // lanes * lanes)


@dataclass(frozen=True, eq=False)
class Buffers:
    """The arguments of a kernel, as `Packed` has them; None for those that it does not take."""

    x: tirx.Buffer
    records: tirx.Buffer
    trees: tirx.Buffer
    columns: tirx.Buffer
    base: tirx.Buffer
    out: tirx.Buffer
    starts: Any = None  # of lists or of masks
    targets: Any = None
    weights: Any = None
    values: Any = None
    entries: Any = None
    leaves: Any = None
