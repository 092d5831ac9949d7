"""The references of raw_feature and overlap_feature, on rows worked out by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from reference_outputs import dense_of, output_of, raw_of, rows_of

from tvm_rank.config.types.overlap_feature import METHODS
from tvm_rank.errors import InputError
from tvm_rank.ops import overlap_feature
from tvm_rank.output import FeatureOutput

# ---------------------------------------------------------------- raw_feature


def test_numbers_are_dense_and_missing_rows_have_the_default():
    assert dense_of(pa.array([1, None, -3]), default_value="0.5") == [[1.0], [0.5], [-3.0]]
    assert dense_of(pa.array(["1", "", None, "x", "-0"]), default_value="7") == [[1.0], [7.0], [7.0], [0.0], [-0.0]]


def test_minus_0_keeps_its_sign():
    assert np.signbit([raw_of(pa.array(["-0"])).dense[0, 0], raw_of(pa.array([-0.0])).dense[0, 0]]).tolist() == [True, True]


def test_without_a_default_a_dense_row_is_0():
    assert dense_of(pa.array([None], pa.string()), default_value="", value_dim=2) == [[0.0, 0.0]]


def test_vectors_come_from_text_and_from_lists():
    assert dense_of(pa.array(["1|2", None]), value_dim=2, separator="|", default_value="3|4") == [[1.0, 2.0], [3.0, 4.0]]
    assert dense_of(pa.array([[1.5, None], []]), value_dim=2, default_value="5") == [[1.5, 0.0], [5.0, 5.0]]
    assert dense_of(pa.array([["1", "x", None]]), value_dim=2) == [[1.0, 0.0]]


def test_the_default_is_not_normalized_but_an_unreadable_text_is():
    normalizer = "method=minmax,min=-1,max=1"
    assert dense_of(pa.array(["x", None, "1"]), normalizer=normalizer, default_value="9") == [[0.5], [9.0], [1.0]]
    assert dense_of(pa.array([[None], [], [1]], pa.list_(pa.int64())), normalizer=normalizer, default_value="9") == [
        [0.5],
        [9.0],
        [1.0],
    ]


def test_int64_is_rounded_to_float32_once():
    number = 2**60 + 2**36 + 1  # between two float32; over double it would be rounded to even, downwards
    assert dense_of(pa.array([number])) == [[float(2**60 + 2**37)]]


def test_nan_passes_through_and_falls_into_bucket_0():
    assert np.isnan(raw_of(pa.array(["nan"])).dense).all()
    assert rows_of(raw_of(pa.array([float("nan")]), boundaries=[-1, 0])) == [[0]]


def test_defaults_are_bucketized():
    assert rows_of(raw_of(pa.array([0.1, None, 2.0]), boundaries=[0.1, 1], default_value="0.1")) == [[1], [1], [2]]


@pytest.mark.parametrize(
    ("column", "rows"),
    [
        (pa.array([None, 10.0]), [[1], [2]]),
        (pa.array([None, 10], pa.int32()), [[1], [2]]),
        (pa.array([None, "10"]), [[], [2]]),
        (pa.array([None, [10.0]]), [[], [2]]),
        (pa.array([[], [10.0]]), [[], [2]]),
    ],
    ids=["float", "int", "text", "null-list", "empty-list"],
)
def test_without_a_default_only_a_scalar_number_has_a_bucket_when_missing(column, rows):
    normalizer = "method=log10,threshold=0.5,default=-9"  # a normalized 0 would fall into bucket 0
    assert rows_of(raw_of(column, boundaries=[-1, 0.5], default_value="", normalizer=normalizer)) == rows


@pytest.mark.parametrize("column", [pa.array(["1|2", "1|2|3"]), pa.array([[1.0, 2.0], [1.0]])], ids=["text", "list"])
def test_another_count_of_numbers_is_refused_with_its_row(column):
    with pytest.raises(InputError, match=r"feature 'f', row 1: wanted 2 values \(value_dim\), got [13]; make the column regular"):
        raw_of(column, value_dim=2, separator="|")


def test_a_scalar_column_is_no_vector():
    with pytest.raises(InputError, match="feature 'f': value_dim is 2, but a column of double has 1 a row"):
        raw_of(pa.array([None], pa.float64()), value_dim=2)


def test_no_rows_give_a_matrix_without_rows():
    assert raw_of(pa.array([], pa.float32())).dense.shape == (0, 1)


# ---------------------------------------------------------------- overlap_feature


def overlap_of(query: list[str], title: list[str], method: str, **keys) -> FeatureOutput:
    feature = {"feature_type": "overlap_feature", "query": "user:q", "title": "item:t", "method": method, **keys}
    return output_of(feature, pa.array([query], pa.list_(pa.string())), pa.array([title], pa.list_(pa.string())))


OVERLAPS = [
    # query, title, and the methods in the order of the table in the specification
    ("bc", "abcd", [1, 0.5, 1, 0, 1, 2, 1, 1, 1]),
    ("abcd", "abcd", [1, 1, 1, 1, 0, 4, 1, 3, 10 / 6]),
    ("cb", "abcd", [1, 0.5, 0, 0, -1, 2, 1, 1, 1]),
    ("ax", "abca", [0.5, 0.5, 0, 0, -1, 0, 5, 5, 5]),
    ("xy", "ab", [0, 0, 0, 0, -1, 0, 3, 3, 3]),
    ("aab", "acccab", [1, 0.5, 0, 0, -1, 2, 1, 1, 1]),
    ("abc", "axxbc", [1, 0.6, 0, 0, -1, 5, 1, 4, 8 / 3]),
    ("aab", "axb", [1, 2 / 3, 0, 0, -1, 3, 2, 2, 2]),
    ("aabc", "abxxc", [1, 0.6, 0, 0, -1, 5, 1, 4, 13 / 5]),
    ("a", "ba", [1, 0.5, 1, 0, 1, 1, 3, 3, 3]),
    ("abc", "ab", [2 / 3, 1, 0, 0, -1, 0, 1, 1, 1]),
]


@pytest.mark.parametrize(("query", "title", "numbers"), OVERLAPS, ids=[f"{query}-{title}" for query, title, _ in OVERLAPS])
def test_each_method_has_the_number_worked_out_by_hand(query, title, numbers):
    assert len(numbers) == len(overlap_feature.METHODS)
    got = [overlap_of([*query], [*title], method).dense[0, 0] for method in overlap_feature.METHODS]
    np.testing.assert_array_equal(np.array(got), np.array(numbers, np.float32))


@pytest.mark.parametrize("method", overlap_feature.METHODS)
def test_a_missing_side_has_the_default_which_is_not_normalized(method):
    normalizer = "method=expression,expr=100"
    for query, title in (([], ["a"]), (["a"], []), ([], [])):
        assert overlap_of(query, title, method).dense.tolist() == [[0.0]]
        assert overlap_of(query, title, method, normalizer=normalizer, default_value="0.25").dense.tolist() == [[0.25]]
        assert rows_of(overlap_of(query, title, method, boundaries=[0, 1], default_value="", normalizer=normalizer)) == [[1]]


def test_the_number_is_normalized_and_bucketized():
    normalizer = "method=zscore,mean=1,standard_deviation=0.5"
    assert overlap_of(["a", "b"], ["a"], "query_common_ratio", normalizer=normalizer).dense.tolist() == [[-1.0]]
    assert rows_of(overlap_of(["a", "b"], ["a"], "query_common_ratio", boundaries=[0.25, 0.5, 0.75])) == [[2]]


def test_terms_are_compared_by_their_text():
    feature = {
        "feature_type": "overlap_feature",
        "query": "user:q",
        "title": "item:t",
        "method": "title_common_ratio",
        "separator": ",",
    }
    out = output_of(feature, pa.array([1]), pa.array([[1, 2], [1, 1]]))
    assert out.dense.tolist() == [[0.5], [1.0]]
    assert output_of(feature, pa.array(["1,3"]), pa.array([1.0])).dense.tolist() == [[1.0]]


def test_methods_of_loader_and_reference_are_the_same():
    assert tuple(overlap_feature.METHODS) == METHODS
