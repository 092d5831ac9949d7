"""The schedule knobs of the dense layer and their defaults per instruction set.

A tile is `rows` x `vectors` registers of accumulators. Each step of K loads `vectors` registers of weights and broadcasts one
number of x per row, so a wide tile reads little and a square one reads least; accumulators + weights + one broadcast must fit the
register file (32 on AVX-512 and NEON, 16 on AVX2 and SSE), or the inner loop spills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tvm

_MAY_BE_ZERO = ("prefetch_steps", "dot_columns", "grain_flops")


@dataclass(frozen=True, kw_only=True)
class DenseTiles:
    """Knobs of `rank.dense`; all counts are of float32 numbers or of registers unless the name says otherwise."""

    lanes: int  # float32 in one vector register
    vectors: int  # registers in one row of a weight panel: a panel is lanes * vectors columns wide
    accumulators: int  # registers that may hold sums; a tile has accumulators // (vectors of its panel) rows
    max_rows: int  # rows of a tile of a narrow panel
    unroll: int  # steps of K per iteration of the inner loop
    prefetch_steps: int  # how many steps of K ahead weights are prefetched, if the panel does not fit the L1 cache; 0: not at all
    chunk_bytes: int  # rows of x that one task keeps in the L2 cache while it goes over them
    depth_block: int  # steps of K that are summed over all rows of a chunk before the next ones, in layers that are much deeper
    dot_columns: int  # up to so many outputs, sums run along K (no panel would be full)
    dot_rows: int  # rows of a tile when sums run along K
    grain_flops: int  # a call with fewer operations runs on the calling thread

    def __post_init__(self):
        for name, value in vars(self).items():
            if not isinstance(value, int) or value < (0 if name in _MAY_BE_ZERO else 1):
                raise ValueError(f"DenseTiles.{name} is {value!r}; it must be a positive integer")
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"DenseTiles.lanes is {self.lanes}; it must be a power of two")

    def rows(self, vectors: int) -> int:
        """Rows of the tile of a panel that is `vectors` registers wide."""
        return max(1, min(self.max_rows, self.accumulators // vectors))

    def panel_width(self, units: int) -> int:
        """Columns of one panel for `units` outputs; 1 when the sums run along K.

        The registers that cover `units` are dealt evenly to the panels: 5 registers under vectors=4 make 3 + 2, not 4 + 1.
        """
        if units <= self.dot_columns:
            return 1
        registers = -(-units // self.lanes)
        panels = -(-registers // self.vectors)
        return -(-registers // panels) * self.lanes


# What tuning tries for each knob. `lanes` is not among them: the registers are the target's.
SPACE: Mapping[str, tuple[int, ...]] = {
    "vectors": (1, 2, 3, 4, 5, 6, 8),
    "accumulators": (4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28),
    "max_rows": (4, 6, 8, 12, 16, 24),
    "unroll": (1, 2, 4, 8),
    "prefetch_steps": (0, 4, 8, 16, 32, 64),
    "chunk_bytes": tuple(1 << power for power in range(15, 22)),
    "depth_block": (256, 512, 1024, 2048, 4096, 8192),
    "dot_columns": (0, 1, 2, 4, 8, 16),
    "dot_rows": (1, 2, 3, 4, 5),
    "grain_flops": (250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000, 1 << 40),
}

AVX512 = DenseTiles(
    lanes=16, vectors=2, accumulators=24, max_rows=12, unroll=2, prefetch_steps=16,
    chunk_bytes=384 << 10, depth_block=1024, dot_columns=8, dot_rows=4, grain_flops=2_000_000,
)  # fmt: skip
AVX2 = DenseTiles(
    lanes=8, vectors=2, accumulators=12, max_rows=12, unroll=2, prefetch_steps=0,
    chunk_bytes=128 << 10, depth_block=512, dot_columns=4, dot_rows=4, grain_flops=2_000_000,
)  # fmt: skip
NEON = DenseTiles(
    lanes=4, vectors=3, accumulators=24, max_rows=8, unroll=2, prefetch_steps=0,
    chunk_bytes=256 << 10, depth_block=1024, dot_columns=2, dot_rows=4, grain_flops=2_000_000,
)  # fmt: skip
GENERIC = DenseTiles(
    lanes=4, vectors=2, accumulators=8, max_rows=8, unroll=2, prefetch_steps=0,
    chunk_bytes=128 << 10, depth_block=512, dot_columns=2, dot_rows=4, grain_flops=2_000_000,
)  # fmt: skip

_BY_FEATURE = (("avx512f", AVX512), ("avx2", AVX2), ("neon", NEON))
_has_feature = tvm.get_global_func("target.target_has_feature")


def tiles_for(target: tvm.target.Target | None) -> DenseTiles:
    """The default knobs of a CPU target, by the features of its `mcpu` and `mattr`; GENERIC for None and for unknown features."""
    if target is None:
        return GENERIC
    if target.kind.name != "llvm":
        raise ValueError(f"rank.dense has CPU kernels only; the target is {target.kind.name!r}, expected 'llvm'")
    return next((tiles for feature, tiles in _BY_FEATURE if _has_feature(feature, target)), GENERIC)
