"""Scores next to scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvm_rank.accuracy.report import auc, compare, ranks


def test_equal_scores_do_not_differ():
    scores = {"a": np.array([[0.1], [0.7], [0.7]], np.float32)}
    (one,) = compare(scores, scores)
    assert (one.scores, one.largest, one.mean, one.nonfinite, one.auc_change) == (3, 0, 0, 0, None)
    assert one.rank_correlation == pytest.approx(1)


def test_a_reversed_order_and_a_lost_score_are_told():
    want = {"a": np.array([0.0, 0.25, 0.5, 1.0])}
    (one,) = compare(want, {"a": np.array([1.0, 0.5, 0.25, np.nan])})
    assert one.nonfinite == 1
    assert one.rank_correlation == pytest.approx(-1)
    assert one.largest == 1


def test_the_change_of_auc_is_that_of_the_order():
    labels = [0, 1, 0, 1]
    (one,) = compare({"a": np.array([0.1, 0.9, 0.2, 0.8])}, {"a": np.array([0.1, 0.9, 0.85, 0.8])}, labels)
    assert one.auc_change == pytest.approx(-0.25)


def test_labels_of_one_kind_have_no_area():
    assert auc(np.array([0.1, 0.2]), np.array([True, True])) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_the_area_is_the_share_of_pairs_in_order(pairs):
    scores, positive = np.array([s for s, _ in pairs], float), np.array([p for _, p in pairs])
    above, below = scores[positive], scores[~positive]
    got = auc(scores, positive)
    if len(above) == 0 or len(below) == 0:
        assert got is None
    else:
        wins = (above[:, None] > below).mean() + (above[:, None] == below).mean() / 2
        assert got == pytest.approx(wins)


def test_equal_numbers_share_their_rank():
    np.testing.assert_array_equal(ranks(np.array([3.0, 1.0, 3.0, 2.0])), [3.5, 1, 3.5, 2])
