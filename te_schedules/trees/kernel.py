"""Walking trees on CPU: several rows at a time, without a branch.

    out[n, target] = aggregate over the trees of what the leaf of row n adds, + base[target]

1. Tasks are blocks of rows, in parallel. The features that the trees read are copied, NaN replaced where a column wants it: `lanes` rows
   side by side for each column, so that the place of a lane is a constant in the address.
2. A step of a walk is: load a record, compare, add. Each step waits for the one before it, so `lanes` rows are walked in turn: while one
   waits for its node, the others compare. All take as many steps as the tree's deepest leaf has; a leaf leads to itself.
3. Rows that are left over, all of them in a call of a few rows, walk `lanes` trees at a time instead.
4. Sums are float64 (`sums.py`).

With the knob `threads` it is a kernel for GPUs (`thread_kernel.py`).
"""

from __future__ import annotations

import functools

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.trees import mask_kernel, thread_kernel
from te_schedules.trees.forest import Buffers, Forest
from te_schedules.trees.masks import MOST_VALUES
from te_schedules.trees.pack import COLUMN_SHIFT
from te_schedules.trees.sums import Sums

NAME = "rank.tree_ensemble"
_ALIGN = 4


def trees_func(forest: Forest) -> tirx.PrimFunc:
    """The function, with destination passing: (x (N, features) f32, records, trees, columns, base[, starts, targets, weights], out (N,
    targets) f32), constants as `Packed` has them. All numbers but `targets` are symbolic; N may be 0, but not in a kernel for GPUs."""
    return _func(forest, intrin.on_gpu())


@functools.cache
def _func(forest: Forest, _on_gpu: bool) -> tirx.PrimFunc:
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(forest.name)
        T.func_attr({"tirx.noalias": True, "rank.op": NAME, "op_pattern": 8})
        rows, features, records, trees, columns = (T.int64() for _ in range(5))
        shapes: dict[str, tuple[tuple, str]] = {
            "x": ((rows, features), "float32"),
            "records": ((records, 2), "int32"),
            "trees": ((trees, 3), "int32"),
            "columns": ((columns,), "int32"),
            "base": ((forest.targets,), "float64"),
        }
        if forest.lists:
            starts, entries = T.int64(), T.int64()
            shapes["starts"] = ((starts,), "int32")
            shapes |= {"targets": ((entries,), "int32"), "weights": ((entries,), "float32")}
        if forest.mask_bytes:
            values, entries, starts = (T.int64() for _ in range(3))
            shapes |= {"values": ((values, MOST_VALUES), "float32"), "entries": ((entries, 3), "int32")}
            shapes |= {"starts": ((starts,), "int32"), "leaves": ((trees, 8 * forest.mask_bytes), "float64")}
        shapes["out"] = ((rows, forest.targets), "float32")
        handles = {name: T.arg(name, T.handle()) for name in shapes}
        found = {name: T.match_buffer(handles[name], shape, dtype, align=_ALIGN) for name, (shape, dtype) in shapes.items()}
        emit = thread_kernel.emit if forest.knobs.threads else _emit_blocks
        emit(forest, Buffers(**found), rows)
    return builder.get()


def _emit_blocks(forest: Forest, buffers: Buffers, rows) -> None:
    """Blocks in parallel; a single one on the calling thread."""
    size = tirx.const(forest.block_rows, "int64")
    blocks = T.floordiv(rows + (forest.block_rows - 1), size)
    with T.If(rows > size):
        with T.Then(), T.parallel(blocks) as block:
            _Block(forest, buffers, rows, block).emit()
        with T.Else(), T.serial(blocks) as block:
            _Block(forest, buffers, rows, block).emit()


class _Block:
    """The code for one block of rows."""

    def __init__(self, forest: Forest, buffers: Buffers, rows, block):
        self.forest, self.buffers = forest, buffers
        self.lanes = forest.knobs.lanes
        self.first = intrin.let(block * forest.block_rows)
        self.count = intrin.let(T.cast(T.min(rows - self.first, tirx.const(forest.block_rows, "int64")), "int32"))
        self.trees = intrin.let(T.cast(buffers.trees.shape[0], "int32"))
        self.values = intrin.array(forest.block_rows << forest.bits, "float32")  # (groups, 1 << bits, lanes)
        self.sums = Sums(forest, buffers, self.trees, forest.block_rows)

    def emit(self) -> None:
        """Copy, walk, add up, write."""
        self._copy()
        self.sums.clear(self.count)
        if self.forest.has_masks:
            with T.If(self.count >= mask_kernel.FEWEST):
                with T.Then():
                    self._with_masks()
                with T.Else():
                    self._rest(0)
            self.sums.write(self.count, self.first)
            return
        groups = intrin.let(T.floordiv(self.count, self.lanes))
        if self.forest.knobs.order != "rows":
            with T.serial(self.trees) as tree, T.serial(groups) as group:
                self._rows_of(group * self.lanes, tree)
        else:
            with T.serial(groups) as group, T.serial(self.trees) as tree:
                self._rows_of(group * self.lanes, tree)
        self._rest(groups * self.lanes)
        self.sums.write(self.count, self.first)

    def _with_masks(self) -> None:
        block = mask_kernel.MaskBlock(
            self.buffers,
            count=self.count,
            values=self.values,
            bits=self.forest.bits,
            lanes=self.lanes,
            size=self.forest.mask_bytes,
        )
        block.emit(self.trees, self.sums.array, self.forest.targets)

    def _rest(self, first) -> None:
        """The rows from `first` on, one by one."""
        left = intrin.let(tirx.const(first, "int32") if isinstance(first, int) else first)
        with T.serial(self.count - left) as k, T.serial(T.floordiv(self.trees + (self.lanes - 1), self.lanes)) as group:
            self._trees_of(left + k, group * self.lanes)

    def _copy(self) -> None:
        buffers = self.buffers
        columns = intrin.let(T.cast(buffers.columns.shape[0], "int32"))
        low = tirx.const(-np.inf, "float32")
        with T.serial(self.count) as row:
            place = self._values_of(row)
            T.buffer_store(self.values, low, [place])
            with T.serial(columns - 1) as k:
                column = intrin.let(buffers.columns[k + 1])
                value = intrin.let(buffers.x[self.first + T.cast(row, "int64"), T.shift_right(column, 1)])
                is_replaced = T.And(T.bitwise_and(column, 1) == 1, tirx.isnan(value))
                T.buffer_store(self.values, T.Select(is_replaced, low, value), [place + (k + 1) * self.lanes])

    def _values_of(self, row):
        """The place of column 0 of a row."""
        group = T.floordiv(row, self.lanes)
        return intrin.let(group * (self.lanes << self.forest.bits) + (row - group * self.lanes))

    def _rows_of(self, row, tree) -> None:
        """`lanes` rows through one tree."""
        info = self.buffers.trees
        base, target = intrin.let(T.cast(info[tree, 0], "int64")), intrin.let(info[tree, 2])
        first = intrin.let(T.cast(row * (1 << self.forest.bits), "int64"))
        at = self._walk([base] * self.lanes, [first + lane for lane in range(self.lanes)], info[tree, 1])
        for lane in range(self.lanes):
            self.sums.add(intrin.let(row + lane), base + at[lane][0], target)

    def _trees_of(self, row, tree) -> None:
        """One row through `lanes` trees; those behind the last one are walked like it, and not added."""
        info, last = self.buffers.trees, intrin.let(self.trees - 1)
        trees = [intrin.let(T.min(tree + lane, last)) for lane in range(self.lanes)]
        bases = [intrin.let(T.cast(info[tree, 0], "int64")) for tree in trees]
        steps = intrin.local("int32", 0)
        for tree_of_lane in trees:
            intrin.assign(steps, T.max(steps[0], info[tree_of_lane, 1]))
        at = self._walk(bases, [T.cast(self._values_of(row), "int64")] * self.lanes, steps[0])
        for lane in range(self.lanes):
            with T.If(tree + lane <= last), T.Then():
                self.sums.add(row, bases[lane] + at[lane][0], info[trees[lane], 2])

    def _walk(self, bases: list, values: list, steps) -> list[tirx.Buffer]:
        """The place where each lane ends, from the root of its tree; `values`: where column 0 of its row is."""
        records, word_bits = self.buffers.records, self.forest.bits + COLUMN_SHIFT
        at = [intrin.local("int64", 0) for _ in bases]
        mask = (1 << word_bits) - 1
        with T.serial(steps):
            for lane, (base, first) in enumerate(zip(bases, values, strict=True)):
                place = base + at[lane][0]
                word = intrin.let(T.cast(records[place, 1], "int64"))
                number = T.reinterpret("float32", records[place, 0])
                is_left = self.values[first + T.bitwise_and(word, mask) * (self.lanes >> COLUMN_SHIFT)] <= number
                step = T.Select(is_left, tirx.const(0, "int64"), tirx.const(1, "int64"))
                intrin.assign(at[lane], T.shift_right(word, tirx.const(word_bits, "int64")) + step)
        return at
