"""Scoring blocks of rows with masks of leaves (`masks.py`): ranks of all features, then tree by tree."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.trees.masks import MOST_VALUES

LANES = 64  # rows of a register of bytes
VECTORS = 2  # registers that ask a node one after the other: what is loaded for one serves both
ROWS = LANES * VECTORS
FEWEST = 8  # rows for which a block of masks is worth its work; fewer are walked


class MaskBlock:
    """The code for one block. values: (groups, 1 << bits, lanes) as the walk has them · add(row, tree, weight) adds to the sums."""

    def __init__(self, buffers: Any, *, count, values, bits: int, lanes: int, size: int):
        self.buffers, self.count, self.values = buffers, count, values
        self.bits, self.lanes, self.size = bits, lanes, size
        self.ranks = intrin.array(ROWS << bits, "uint8")  # (columns, ROWS)
        self.left = intrin.array(ROWS * size, "uint8")  # (bytes, ROWS): the leaves that are left
        self.leaf = intrin.array(ROWS, "uint8")

    def emit(self, trees, sums, targets: int) -> None:
        """All trees over all rows of the block; sums (rows, targets) float64."""
        self._rank()
        with T.serial(trees) as tree:
            with T.serial(self.size) as byte:
                self._ask(tree, byte)
            for vector in range(VECTORS):
                self._find(vector)
            target = intrin.let(self.buffers.trees[tree, 2])
            with T.serial(self.count) as row:
                weight = self.buffers.leaves[tree, T.cast(self.leaf[row], "int32")]
                place = row * targets + target if targets > 1 else row
                T.buffer_store(sums, sums[place] + weight, [place])

    def _rank(self) -> None:
        """How many values of a column are below the number; 255 for NaN, which is above all. By halves, without a branch."""
        columns = intrin.let(T.cast(self.buffers.columns.shape[0], "int32"))
        with T.serial(columns - 1) as k, T.serial(self.count) as row:
            column = k + 1
            group = T.floordiv(row, self.lanes)
            place = group * (self.lanes << self.bits) + column * self.lanes + (row - group * self.lanes)
            number = intrin.let(self.values[place])
            rank = intrin.local("int32", 0)
            step = (MOST_VALUES + 1) // 2
            while step:
                is_below = self.buffers.values[column, rank[0] + (step - 1)] < number
                intrin.assign(rank, rank[0] + T.Select(is_below, tirx.const(step, "int32"), tirx.const(0, "int32")))
                step //= 2
            found = T.Select(T.isnan(number), tirx.const(MOST_VALUES, "int32"), rank[0])
            T.buffer_store(self.ranks, T.cast(found, "uint8"), [column * ROWS + row])

    def _ask(self, tree, byte) -> None:
        """A byte of leaves behind all nodes that may take some of it away."""
        at = intrin.let(tree * self.size + byte)
        begin = intrin.let(self.buffers.starts[at])
        end = intrin.let(self.buffers.starts[at + 1])
        left = intrin.array(ROWS, "uint8")
        for vector in range(VECTORS):
            T.buffer_store(left, T.broadcast(tirx.const(0xFF, "uint8"), LANES), [_lanes(vector * LANES)])
        with T.serial(end - begin) as k:
            entry = begin + k
            column = intrin.let(self.buffers.entries[entry, 0] * ROWS)
            largest, mask = (self._spread(entry, word) for word in (1, 2))
            for vector in range(VECTORS):
                lanes = _lanes(vector * LANES)
                is_right = self.ranks[T.ramp(column + vector * LANES, 1, LANES)] > largest
                T.buffer_store(left, T.Select(is_right, T.bitwise_and(left[lanes], mask), left[lanes]), [lanes])
        for vector in range(VECTORS):
            T.buffer_store(self.left, left[_lanes(vector * LANES)], [T.ramp(byte * ROWS + vector * LANES, 1, LANES)])

    def _spread(self, entry, word: int):
        """A byte in every lane."""
        kept = intrin.array(LANES // 4, "int32")
        T.buffer_store(kept, T.broadcast(self.buffers.entries[entry, word], LANES // 4), [T.ramp(0, 1, LANES // 4)])
        return T.reinterpret(f"uint8x{LANES}", kept[T.ramp(0, 1, LANES // 4)])

    def _find(self, vector: int) -> None:
        """The first leaf that is left of each row: the first byte that is not 0, and the lowest bit in it."""

        def splat(value: int):
            return T.broadcast(tirx.const(value, "uint8"), LANES)

        all_lanes = T.ramp(0, 1, LANES)
        bits, leaf = intrin.array(LANES, "uint8"), intrin.array(LANES, "uint8")
        T.buffer_store(bits, splat(0), [all_lanes])
        T.buffer_store(leaf, splat(0), [all_lanes])
        for byte in reversed(range(self.size)):
            here = self.left[T.ramp(byte * ROWS + vector * LANES, 1, LANES)]
            is_here = here > splat(0)
            T.buffer_store(leaf, T.Select(is_here, splat(8 * byte), leaf[all_lanes]), [all_lanes])
            T.buffer_store(bits, T.Select(is_here, here, bits[all_lanes]), [all_lanes])
        T.buffer_store(bits, T.bitwise_and(bits[all_lanes], T.bitwise_not(bits[all_lanes]) + splat(1)), [all_lanes])
        for mask, step in ((0xAA, 1), (0xCC, 2), (0xF0, 4)):
            has = T.bitwise_and(bits[all_lanes], splat(mask)) > splat(0)
            T.buffer_store(leaf, T.Select(has, leaf[all_lanes] + splat(step), leaf[all_lanes]), [all_lanes])
        T.buffer_store(self.leaf, leaf[all_lanes], [T.ramp(vector * LANES, 1, LANES)])


def _lanes(first: int):
    return T.ramp(first, 1, LANES)
