"""The nodes of an ensemble as masks of leaves, for many rows at a time.

The leaves of a tree are numbered from left to right, one bit each. A node at which a row goes to the right takes the leaves of its left subtree
away; when all nodes have been asked, in any order, the first leaf that is left is where the row ends. So no row waits for the node before,
and 64 rows ask one node in one instruction (Lucchese et al. 2015, "QuickScorer"; Ye et al. 2018, "RapidScorer").

What is compared are not numbers but ranks: how many of the different values that a column is compared with are below the number. There are
at most 255 of them, as in models of histogram-based training, so a rank is a byte, and so is the comparison. It is exact.
Most nodes are near the leaves and take a few of them away, so masks are kept byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from te_schedules.trees.questions import Question

MOST_VALUES = 255  # of a column
MOST_LEAVES = 256  # of a tree
_FOUR = 0x01010101  # a byte four times: a whole word is spread over a register by the load itself


@dataclass(frozen=True, kw_only=True, eq=False)
class Masks:
    """values float32 (columns, 255): what columns are compared with, ascending, behind the last one +inf · entries int32 (n, 3): column,
    largest rank that goes to the left, mask of a byte of leaves, the last two four times in a word · starts int32 (trees * bytes + 1): where
    the entries of a byte of a tree begin · leaves float64 (trees, 8 * bytes): what each leaf adds
    """

    values: np.ndarray
    entries: np.ndarray
    starts: np.ndarray
    leaves: np.ndarray


def masks_of(
    questions: Sequence[Question], roots: Sequence[int], columns: dict[int, int], weight_of: dict[int, float]
) -> Masks | None:
    """The masks of trees; None when something does not fit: shared nodes, many leaves, many values of a column.

    roots: questions · columns: feature << 1 | missing_left -> column · weight_of: node of a leaf -> what it adds.
    """
    trees = [_Tree(questions, root) for root in roots]
    if not all(tree.fits for tree in trees):
        return None
    of_column: list[set[float]] = [set() for _ in columns]
    for tree in trees:
        for asked, _low, _high in tree.nodes:
            of_column[columns[_key(asked)]].add(asked.value + 0.0)  # -0.0 is 0.0
    if max(map(len, of_column)) > MOST_VALUES:
        return None
    values = np.full((len(columns), MOST_VALUES), np.inf, np.float32)
    ranks: list[dict[float, int]] = []
    for column, found in enumerate(of_column):
        values[column, : len(found)] = sorted(found)
        ranks.append({value: rank for rank, value in enumerate(sorted(found))})
    size = -(-max(len(tree.leaves) for tree in trees) // 8)
    entries: list[tuple[int, int, int]] = []
    starts = [0]
    leaves = np.zeros((len(trees), 8 * size))
    for number, tree in enumerate(trees):
        leaves[number, : len(tree.leaves)] = [weight_of[leaf] for leaf in tree.leaves]
        of_byte: list[list[tuple[int, int, int]]] = [[] for _ in range(size)]
        for asked, low, high in tree.nodes:
            column = columns[_key(asked)]
            for byte in range(low // 8, (high - 1) // 8 + 1):
                gone = sum(1 << bit for bit in range(8) if low <= 8 * byte + bit < high)
                of_byte[byte].append((column, ranks[column][asked.value + 0.0] * _FOUR, (0xFF & ~gone) * _FOUR))
        for one in of_byte:
            entries += sorted(one)
            starts.append(len(entries))
    words = np.array(entries or [(0, 0xFF * _FOUR, 0xFF * _FOUR)], np.int64).astype(np.uint32).view(np.int32)
    return Masks(values=values, entries=words, starts=np.array(starts, np.int32), leaves=leaves)


def _key(asked: Question) -> int:
    return asked.feature << 1 | asked.missing_left


class _Tree:
    """leaves: their nodes from left to right · nodes: (question, first leaf of its left subtree, first one behind it)."""

    def __init__(self, questions: Sequence[Question], root: int):
        self.leaves: list[int] = []
        self.nodes: list[tuple[Question, int, int]] = []
        self.fits = True
        first: dict[int, int] = {}
        waiting = [(root, False)]
        while waiting and self.fits:
            number, is_left_done = waiting.pop()
            asked = questions[number]
            if asked.feature < 0:
                self.leaves.append(asked.left)
            elif is_left_done:
                self.nodes.append((asked, first[number], len(self.leaves)))
            else:
                self.fits = number not in first and len(self.leaves) < MOST_LEAVES
                first[number] = len(self.leaves)
                waiting += [(asked.right, False), (number, True), (asked.left, False)]
        self.fits = self.fits and len(self.leaves) <= MOST_LEAVES and len(set(self.leaves)) == len(self.leaves)
