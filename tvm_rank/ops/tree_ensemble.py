"""Ensembles of decision trees, `rank.tree_ensemble`: what they compute. te_schedules/trees/op.py registers the operator,
tvm_rank/frontend/onnx_trees.py makes it."""

from __future__ import annotations

import numpy as np

from te_schedules.trees.ensemble import Aggregate, Ensemble, Mode
from te_schedules.trees.op import NAME, tree_ensemble

__all__ = ["NAME", "Aggregate", "Ensemble", "Mode", "leaves", "reference", "tree_ensemble"]


def reference(x: np.ndarray, ensemble: Ensemble) -> np.ndarray:
    """The scores of rows: x (N, features) float32 -> (N, targets) float32.

    A row takes one leaf of each tree. Its weights are joined target by target, sums and averages in float64; `base` is added, and the
    result rounded once. A target for which no leaf of the row has a weight is 0, without `base`: that is ONNX Runtime's rule, ONNX has
    none. An average divides by all trees.
    """
    ends = leaves(x, ensemble)
    scores = np.zeros((len(x), ensemble.targets))
    for n, nodes in enumerate(ends):
        found: list[list[float]] = [[] for _ in range(ensemble.targets)]
        for node in nodes:
            for k in range(ensemble.weight_start[node], ensemble.weight_start[node + 1]):
                found[ensemble.target[k]].append(float(ensemble.weight[k]))
        scores[n] = [_joined(values, ensemble) + base if values else 0.0 for values, base in zip(found, ensemble.base, strict=True)]
    return scores.astype(np.float32)


def leaves(x: np.ndarray, ensemble: Ensemble) -> np.ndarray:
    """The node in which each row ends, int32 (N, trees).

    Comparisons are of float32 numbers, as IEEE has them: NaN is equal to nothing, is in no set, and differs from everything. Beside that it
    is a yes where `missing_yes` says so. -0.0 is equal to 0.0.
    """
    at = np.tile(ensemble.roots, (len(x), 1))
    rows = np.arange(len(x))[:, None]
    while (open_ := ensemble.mode[at] != Mode.LEAF).any():
        given = x[rows, np.where(open_, ensemble.feature[at], 0)]
        yes = _answers(given, at, ensemble) | (np.isnan(given) & ensemble.missing_yes[at])
        at = np.where(open_, np.where(yes, ensemble.yes[at], ensemble.no[at]), at)
    return at


def _answers(given: np.ndarray, at: np.ndarray, ensemble: Ensemble) -> np.ndarray:
    value, mode = ensemble.value[at], ensemble.mode[at]
    answers = [given <= value, given < value, given >= value, given > value, given == value, given != value]
    asked = [mode == m for m in (Mode.LEQ, Mode.LT, Mode.GTE, Mode.GT, Mode.EQ, Mode.NEQ)]
    found = np.select(asked, answers, default=False)
    for n, k in np.argwhere(mode == Mode.MEMBER):
        start, end = ensemble.member_start[at[n, k] : at[n, k] + 2]
        found[n, k] = given[n, k] in ensemble.members[start:end]
    return found


def _joined(values: list[float], ensemble: Ensemble) -> float:
    if ensemble.aggregate is Aggregate.AVERAGE:
        return sum(values) / len(ensemble.roots)
    if ensemble.aggregate is Aggregate.SUM:
        return sum(values)
    return min(values) if ensemble.aggregate is Aggregate.MIN else max(values)
