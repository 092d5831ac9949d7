"""Nodes of every mode as questions of one form, `x <= value`, that a walk can ask without a branch.

    x < v          x <= the number before v              x == v     (x <= v) ? ((x <= the number before v) ? no : yes) : no
    x > v          not (x <= v)                          x in set   a balanced tree of such pairs over the sorted set
    x >= v         not (x <= the number before v)        NaN        a flag: whether it goes to the left

Both halves of a pair lead to the same children, so this is a graph and no longer a tree; nothing but the pair is written twice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from te_schedules.trees.ensemble import Ensemble, Mode


class Question(NamedTuple):
    """`x[feature] <= value` goes to the left; NaN where `missing_left`. feature -1: a leaf, whose node is `left`."""

    feature: int
    value: float
    left: int
    right: int
    missing_left: bool


class Questions:
    """The questions of an ensemble; `entry[node]` is the question that a node begins with."""

    def __init__(self, ensemble: Ensemble):
        self.ensemble = ensemble
        self.questions: list[Question] = [
            Question(-1, 0.0, node, node, True) if mode == Mode.LEAF else Question(-1, 0.0, -1, -1, True)
            for node, mode in enumerate(ensemble.mode.tolist())
        ]  # the first ones are those of the nodes, so that children can be named before they are made
        columns = (ensemble.feature, ensemble.value, ensemble.yes, ensemble.no, ensemble.missing_yes)
        for node, (mode, *node_values) in enumerate(
            zip(ensemble.mode.tolist(), *(column.tolist() for column in columns), strict=True)
        ):
            if mode != Mode.LEAF:
                self.questions[node] = self._of(node, Mode(mode), *node_values)

    def _of(self, node: int, mode: Mode, feature: int, value: float, yes: int, no: int, missing: bool) -> Question:
        if mode in (Mode.LEQ, Mode.GT):
            return _leq(feature, value, yes, no, missing) if mode == Mode.LEQ else _leq(feature, value, no, yes, not missing)
        if mode in (Mode.LT, Mode.GTE):
            return _less(feature, value, yes, no, missing) if mode == Mode.LT else _less(feature, value, no, yes, not missing)
        if mode == Mode.EQ:
            return self._equal(feature, value, yes, no, missing)
        if mode == Mode.NEQ:  # NaN differs from every number, whatever the flag says
            return self._equal(feature, value, no, yes, False)
        start, end = self.ensemble.member_start[node : node + 2]
        members = np.unique(self.ensemble.members[start:end]).tolist()
        return self._member(feature, members, yes, no, missing)

    def _equal(self, feature: int, value: float, yes: int, no: int, missing: bool) -> Question:
        if value == -np.inf:
            return _leq(feature, value, yes, no, missing)
        return _leq(feature, value, self._add(_less(feature, value, no, yes, False)), no, missing)

    def _member(self, feature: int, members: list[float], yes: int, no: int, missing: bool) -> Question:
        if not members:  # NaN alone may be a yes
            return _less(feature, -np.inf, yes, no, missing)
        if len(members) == 1:
            return self._equal(feature, members[0], yes, no, missing)
        middle = (len(members) - 1) // 2
        low = self._add(self._member(feature, members[: middle + 1], yes, no, missing))
        high = self._add(self._member(feature, members[middle + 1 :], yes, no, missing))
        return _leq(feature, members[middle], low, high, missing)

    def _add(self, question: Question) -> int:
        self.questions.append(question)
        return len(self.questions) - 1


def _leq(feature: int, value: float, left: int, right: int, missing_left: bool) -> Question:
    return Question(feature, value, left, right, bool(missing_left))


def _less(feature: int, value: float, left: int, right: int, missing_left: bool) -> Question:
    """x < value."""
    if value == -np.inf:  # of no number: all numbers go to the right, by x <= inf to the left of the question turned round
        return Question(feature, np.inf, right, left, not missing_left)
    return Question(feature, float(np.nextafter(np.float32(value), np.float32(-np.inf))), left, right, bool(missing_left))
