"""Walking trees on GPU: a thread has a row and walks it through all trees, straight from the row's features.

Threads of a warp wait for the longest of their walks, which is why `pack` puts trees of one depth side by side and a leaf leads to itself:
all take the same steps. Nodes lie in the caches that a multiprocessor's threads share.
"""

from __future__ import annotations

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.trees.forest import Buffers, Forest
from te_schedules.trees.pack import COLUMN_SHIFT
from te_schedules.trees.sums import Sums


def emit(forest: Forest, buffers: Buffers, rows) -> None:
    """The code of all threads."""
    size = tirx.const(forest.knobs.threads, "int64")
    with (
        T.thread_binding((rows + size - T.int64(1)) // size, "blockIdx.x") as group,
        T.thread_binding(size, "threadIdx.x") as thread,
    ):
        row = intrin.let(group * size + thread)
        with T.If(row < rows), T.Then():
            _row(forest, buffers, row)


def _row(forest: Forest, buffers: Buffers, row) -> None:
    trees = intrin.let(T.cast(buffers.trees.shape[0], "int32"))
    sums, one = Sums(forest, buffers, trees, 1), tirx.const(1, "int32")
    sums.clear(one)
    with T.serial(trees) as tree:
        base = intrin.let(T.cast(buffers.trees[tree, 0], "int64"))
        at = intrin.local("int64", 0)
        with T.serial(buffers.trees[tree, 1]):
            _step(forest, buffers, row, base, at)
        sums.add(tirx.const(0, "int32"), intrin.let(base + at[0]), intrin.let(buffers.trees[tree, 2]))
    sums.write(one, row)


def _step(forest: Forest, buffers: Buffers, row, base, at) -> None:
    """From a node to its child. Column 0 is that of leaves: minus infinity, as is a NaN that goes to the left."""
    place = intrin.let(base + at[0])
    word = intrin.let(buffers.records[place, 1])
    number = intrin.let(T.reinterpret("float32", buffers.records[place, 0]))
    bits = forest.bits + COLUMN_SHIFT
    column = intrin.let(T.shift_right(T.bitwise_and(word, (1 << bits) - 1), tirx.const(COLUMN_SHIFT, "int32")))
    value = intrin.local("float32", -np.inf)
    with T.If(column > 0), T.Then():
        feature = intrin.let(buffers.columns[column])
        found = intrin.let(buffers.x[row, T.shift_right(feature, 1)])
        is_replaced = T.And(T.bitwise_and(feature, 1) == 1, tirx.isnan(found))
        intrin.assign(value, T.if_then_else(is_replaced, T.float32(-np.inf), found))
    step = T.if_then_else(value[0] <= number, T.int64(0), T.int64(1))
    intrin.assign(at, T.cast(T.shift_right(word, tirx.const(bits, "int32")), "int64") + step)
