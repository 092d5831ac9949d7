"""The nodes of an ensemble laid out for walking.

A record is two 32-bit words: a float32 number, and `place << bits + 3 | column << 3`. From a record a row goes to the record at `place`,
or to the one behind it when `x[column] <= number` is false: both children of a node lie side by side, 16 bytes that are in one cache line.
Places count from the tree's first record. Top levels come first, so that what every row reads lies together.

A leaf leads to itself: its column is 0, which is minus infinity in every row, so a walk may go on for as many steps as the deepest leaf
has. Its number says what it adds: the weight itself when every leaf of the ensemble has one, and all of a tree's for one target; else,
as bits, its number in the list of leaves.

Columns from 1 on are features of x; where NaN goes to the left, a copy of the feature has minus infinity in place of NaN.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from te_schedules.trees.ensemble import Aggregate, Ensemble, Mode
from te_schedules.trees.masks import Masks, masks_of
from te_schedules.trees.questions import Question, Questions

WORD_BITS = 31  # of a place and a column together: the word is a positive int32
COLUMN_SHIFT = 3  # columns are times 8 in a record: the address of a number among those of 8 or 16 rows is then one operand
NO_COLUMN = -1


class TooLarge(ValueError):
    """An ensemble whose places and columns do not fit into a word."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """The constants of a kernel.

    records int32 (records, 2) · trees int32 (trees, 3): first record, steps to the deepest leaf, target of its leaves (0 when they have
    a list) · columns int32 (columns,): feature << 1 | whether NaN becomes minus infinity, of columns 1 and on; -1 for column 0 · weights:
    the list of leaves, None when the records hold the weights: int32 (leaves + 1,) starts, int32 targets, float32 weights ·
    base float64 (targets,) · masks:
    the same trees once more as masks of leaves, when they fit, records hold the weights, and there are not more columns than trees: to
    rank a row's number in a column takes as long as to walk a tree (some 25 ns each), which masks spare
    """

    bits: int
    records: np.ndarray
    trees: np.ndarray
    columns: np.ndarray
    weights: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    base: np.ndarray
    masks: Masks | None


def pack(ensemble: Ensemble) -> Packed:
    """Lay an ensemble out. Raises TooLarge."""
    targets = _tree_targets(ensemble)
    layout = _Layout(Questions(ensemble).questions, None if targets is None else ensemble)
    trees = [(*layout.tree(root), 0 if targets is None else targets[k], root) for k, root in enumerate(ensemble.roots.tolist())]
    trees.sort(key=lambda tree: tree[1])  # those that are walked at a time take as many steps as the deepest one
    bits = max(1, (len(layout.columns) - 1).bit_length())
    if layout.largest.bit_length() + bits + COLUMN_SHIFT > WORD_BITS:
        raise TooLarge(f"a tree has {layout.largest + 1} nodes over {len(layout.columns)} columns")
    places, columns = np.array(layout.places, np.int64), np.array(layout.column_of, np.int64)
    words = (places << bits | columns) << COLUMN_SHIFT
    records = np.stack([np.array(layout.numbers, np.float32).view(np.int32), words.astype(np.int32)], axis=1)
    records[layout.leaf_records, 0] = np.arange(len(layout.leaves))
    return Packed(
        bits=bits,
        records=records,
        trees=np.array([tree[:3] for tree in trees], np.int32),
        columns=np.array(list(layout.columns), np.int32),
        weights=_lists(ensemble, layout.leaves) if targets is None else None,
        base=ensemble.base.astype(np.float64),
        masks=masks_of(layout.questions, [tree[3] for tree in trees], layout.columns, layout.weight_of)
        if targets is not None and len(layout.columns) - 1 <= len(trees)
        else None,
    )


def _tree_targets(ensemble: Ensemble) -> list[int] | None:
    """The one target of each tree, when every leaf has one weight, every target has a tree, and sums are wanted."""
    if ensemble.aggregate not in (Aggregate.SUM, Aggregate.AVERAGE):
        return None
    leaves = ensemble.mode == Mode.LEAF
    if (np.diff(ensemble.weight_start)[leaves] != 1).any():
        return None
    found = []
    for nodes in _nodes_of_trees(ensemble):
        targets = np.unique(ensemble.target[ensemble.weight_start[[node for node in nodes if leaves[node]]]])
        if len(targets) != 1:
            return None
        found.append(int(targets[0]))
    return found if len(set(found)) == ensemble.targets else None


def _nodes_of_trees(ensemble: Ensemble) -> list[list[int]]:
    mode, yes, no = ensemble.mode.tolist(), ensemble.yes.tolist(), ensemble.no.tolist()
    trees = []
    for root in ensemble.roots.tolist():
        nodes = {root: None}
        waiting = [root]
        while waiting:
            node = waiting.pop()
            new = [child for child in (yes[node], no[node]) if mode[node] != Mode.LEAF and child not in nodes]
            nodes |= dict.fromkeys(new)
            waiting += new
        trees.append(list(nodes))
    return trees


class _Layout:
    """Places records tree by tree, level by level. `ensemble` when leaves hold their weight."""

    def __init__(self, questions: list[Question], ensemble: Ensemble | None):
        self.questions, self.ensemble = questions, ensemble
        self.columns: dict[int, int] = {NO_COLUMN: 0}
        self.numbers: list[float] = []
        self.places: list[int] = []
        self.column_of: list[int] = []
        self.leaves: list[int] = []  # node of each leaf that has a list
        self.leaf_records: list[int] = []
        self.weight_of: dict[int, float] = {}  # node of each leaf that has none
        self.largest = 0

    def tree(self, root: int) -> tuple[int, int]:
        """Place a tree: its first record, and the steps to its deepest leaf."""
        first = len(self.numbers)
        children: dict[int, int] = {}  # question -> place of its pair
        waiting = deque([(root, self._place())])
        while waiting:
            question, record = waiting.popleft()
            asked = self.questions[question]
            if asked.feature < 0:
                self._leaf(asked, record, first)
                continue
            if question not in children:
                children[question] = self._place() - first
                self._place()
                waiting.append((asked.left, first + children[question]))
                waiting.append((asked.right, first + children[question] + 1))
            column = self.columns.setdefault(asked.feature << 1 | asked.missing_left, len(self.columns))
            self.numbers[record], self.places[record], self.column_of[record] = asked.value, children[question], column
        self.largest = max(self.largest, len(self.numbers) - 1 - first)
        return first, self._steps(root)

    def _steps(self, root: int) -> int:
        """The longest way from a question to a leaf; what is shared is looked at once."""
        known: dict[int, int] = {}
        waiting = [root]
        while waiting:
            asked = self.questions[waiting[-1]]
            if asked.feature < 0:
                known[waiting.pop()] = 0
            elif missing := [child for child in (asked.left, asked.right) if child not in known]:
                waiting += missing
            else:
                known[waiting.pop()] = 1 + max(known[asked.left], known[asked.right])
        return known[root]

    def _place(self) -> int:
        """A new record."""
        for values in (self.numbers, self.places, self.column_of):
            values.append(0)
        return len(self.numbers) - 1

    def _leaf(self, asked: Question, record: int, first: int) -> None:
        self.places[record] = record - first
        if self.ensemble is not None:
            self.numbers[record] = float(self.ensemble.weight[self.ensemble.weight_start[asked.left]])
            self.weight_of[asked.left] = self.numbers[record]
        else:
            self.leaves.append(asked.left)
            self.leaf_records.append(record)


def _lists(ensemble: Ensemble, leaves: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, targets and weights of the leaves in the order of their numbers."""
    starts, ends = ensemble.weight_start[leaves], ensemble.weight_start[np.array(leaves, np.int64) + 1]
    order = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)] or [np.zeros(0, np.int64)])
    begin = np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int32)
    order = order.astype(np.int64)
    return begin, ensemble.target[order].astype(np.int32), ensemble.weight[order].astype(np.float32)
