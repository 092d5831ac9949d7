"""Scores next to scores: differences, order, and the area under the curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What another precision did to one output, over all numbers of all samples.

    largest, mean: of |score - score in fp32| · rank_correlation: Spearman's, ties at their mean rank; NaN when all scores are the same ·
    auc_change: area under the ROC curve minus that of fp32; None without labels or with labels of one kind · nonfinite: how many scores
    are NaN or infinite where those of fp32 are not.
    """

    output: str
    scores: int
    largest: float
    mean: float
    rank_correlation: float
    auc_change: float | None
    nonfinite: int


def compare(
    want: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], labels: Sequence[float] | None = None
) -> tuple[Difference, ...]:
    """The differences of each output. want: scores in fp32 · got: of the same samples · labels: (N,), for outputs of N numbers."""
    return tuple(_difference(name, np.asarray(want[name], np.float64), np.asarray(got[name], np.float64), labels) for name in want)


def _difference(name: str, want: np.ndarray, got: np.ndarray, labels: Sequence[float] | None) -> Difference:
    want, got = want.ravel(), got.ravel()
    both = np.isfinite(want) & np.isfinite(got)
    apart = np.abs(want[both] - got[both])
    fits = labels is not None and len(labels) == len(want)
    areas = [None, None] if not fits else [auc(scores[both], np.asarray(labels)[both] > 0) for scores in (want, got)]
    return Difference(
        output=name,
        scores=len(want),
        largest=float(apart.max(initial=0)),
        mean=float(apart.mean()) if len(apart) else 0.0,
        rank_correlation=_correlation(ranks(want[both]), ranks(got[both])),
        auc_change=None if areas[0] is None or areas[1] is None else areas[1] - areas[0],
        nonfinite=int((np.isfinite(want) & ~np.isfinite(got)).sum()),
    )


def ranks(numbers: np.ndarray) -> np.ndarray:
    """1 for the least; equal numbers share the mean of their ranks."""
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """The probability that a positive scores above another, ties counting half (Mann-Whitney); None when there is only one kind."""
    many = int(positive.sum())
    others = len(positive) - many
    if not many or not others:
        return None
    return float((ranks(scores)[positive].sum() - many * (many + 1) / 2) / (many * others))


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Pearson's, of ranks."""
    left, right = left - left.mean() if len(left) else left, right - right.mean() if len(right) else right
    size = float(np.sqrt((left**2).sum() * (right**2).sum()))
    return float((left * right).sum()) / size if size > 0 else float("nan")
