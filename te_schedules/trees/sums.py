"""What the leaves of a row add up to, for each target: how every kernel that walks trees sums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.trees.ensemble import Aggregate
from te_schedules.trees.forest import Buffers, Forest


class Sums:
    """The sums (rows, targets) of some rows, float64, tree after tree: the order of 500 float32 sums would be seen in the sixth digit.

    trees: their count (int32) · rows: at most, a constant
    """

    def __init__(self, forest: Forest, buffers: Buffers, trees, rows: int):
        self.forest, self.buffers, self.trees = forest, buffers, trees
        # what stands for "no weight yet": weights are finite
        self.nothing = tirx.const(-np.inf if forest.aggregate is Aggregate.MAX else np.inf, "float64")
        self.array = intrin.array(rows * forest.targets, "float64")

    def clear(self, count) -> None:
        """Begin with `count` rows."""
        with T.serial(count * self.forest.targets) as k:
            T.buffer_store(self.array, self.nothing if self.forest.lists else tirx.const(0.0, "float64"), [k])

    def add(self, row, record, target) -> None:
        """What the leaf of a record adds to a row. target: of the tree, where its leaves have no lists."""
        number = self.buffers.records[record, 0]
        if not self.forest.lists:
            place = intrin.let(row * self.forest.targets + target)
            T.buffer_store(self.array, self.array[place] + T.cast(T.reinterpret("float32", number), "float64"), [place])
            return
        leaf = intrin.let(number)
        begin = intrin.let(self.buffers.starts[leaf])
        with T.serial(self.buffers.starts[leaf + 1] - begin) as k:
            place = intrin.let(row * self.forest.targets + self.buffers.targets[begin + k])
            weight = intrin.let(T.cast(self.buffers.weights[begin + k], "float64"))
            total = intrin.let(self.array[place])
            T.buffer_store(self.array, _joined(self.forest.aggregate)(total, weight, self.nothing), [place])

    def write(self, count, first) -> None:
        """Averages, and base values, to the rows of the result from `first` (int64) on; a target that no leaf had a weight for is 0."""
        forest, targets = self.forest, self.forest.targets
        with T.serial(count) as row, T.serial(targets) as target:
            total = intrin.let(self.array[row * targets + target])
            value = total / T.cast(self.trees, "float64") if forest.aggregate is Aggregate.AVERAGE else total
            value = value + self.buffers.base[target]
            if forest.lists:
                value = T.Select(total == self.nothing, tirx.const(0.0, "float64"), value)
            T.buffer_store(self.buffers.out, T.cast(value, "float32"), [first + T.cast(row, "int64"), target])


def _joined(aggregate: Aggregate) -> Callable:
    """(what is there, a weight, what stands for nothing) -> what is there then."""
    if aggregate is Aggregate.MIN:
        return lambda a, b, _nothing: T.Select(b < a, b, a)
    if aggregate is Aggregate.MAX:
        return lambda a, b, _nothing: T.Select(b > a, b, a)
    return lambda a, b, nothing: T.Select(a == nothing, b, a + b)
