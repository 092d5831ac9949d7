"""The definition of expr_feature on values worked out by hand, and those that the engine is known to give."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from reference_outputs import output_of, rows_of

from tvm_rank.errors import InputError
from tvm_rank.ops.hashes import hash_farm, hash_std


def expr(formula: str, *columns: pa.Array, **keys):
    names = "abcdefgh"[: len(columns)]
    feature = {"feature_type": "expr_feature", "expression": formula, "variables": [f"item:{name}" for name in names], **keys}
    return output_of(feature, *columns)


def dense(formula: str, *columns: pa.Array, **keys) -> list[list[float]]:
    out = expr(formula, *columns, **keys)
    assert out.dense is not None
    return out.dense.tolist()


def test_the_engine_gives_the_default_for_a_row_without_a_variable():
    a, b = pa.array(["0.2", "", "0.3", None]), pa.array([0.2] * 4)
    assert dense("a+b", a, b, default_value="0.1") == np.float32([[0.4], [0.1], [0.5], [0.1]]).tolist()


def test_the_engine_compares_vectors_element_by_element():
    a, b = pa.array(["1\x1d2\x1d3\x1d2", "1\x1d1\x1d1\x1d1"]), pa.array([2, 1])
    assert dense("a==b", a, b, value_dim=4, value_type="int64") == [[0, 1, 0, 1], [1, 1, 1, 1]]


def test_the_engine_buckets_the_product_of_vectors():
    a, b = pa.array(["0.2\x1d0.2", "", "0.3\x1d0.4"]), pa.array(["0.2\x1d0.2"] * 3)
    out = expr("dot(a,b)", a, b, default_value="", boundaries=[0.05, 0.1, 0.15])
    assert rows_of(out) == [[1], [], [2]]


def test_the_bits_of_floats_are_hashed():
    ten = np.float32(10).tobytes()
    column = pa.array([1.0, None, -0.0, math.nan])
    nan = np.float32(math.nan).tobytes()
    for hash_function, hashed in (("std", hash_std), ("farm", hash_farm)):
        feature = {"feature_type": "expr_feature", "expression": "a*10", "variables": ["user:a"], "hash_bucket_size": 100}
        out = output_of(feature, column, hash_function=hash_function)
        assert rows_of(out) == [[hashed(ten) % 100], [0], [0], [hashed(nan) % 100]]
    assert rows_of(expr("a*10", pa.array([1.0, 2, 3]), hash_bucket_size=100)) == [[39], [63], [46]]  # as the engine
    double = np.float64(0.1).tobytes()
    keys = {"value_type": "double", "hash_bucket_size": 1000}
    assert rows_of(expr("a", pa.array([0.1, None]), default_value="0.1", **keys)) == [[hash_std(double) % 1000]] * 2


def test_integers_are_truncated_and_saturated():
    column = pa.array([2.9, -2.9, 1e300, -1e300, math.nan, 3e9])
    out = dense("a", column, value_type="int32")
    assert out == np.float32([[2], [-2], [2**31], [-(2**31)], [0], [2**31]]).tolist()
    assert rows_of(expr("a", column, num_buckets=2**40)) == [[2], [0], [0], [0], [0], [3 * 10**9]]


def test_int64_and_texts_keep_their_digits_in_formulas():
    assert dense("a - b", pa.array([1700000123456]), pa.array([1700000123000])) == [[456.0]]
    assert dense("a - b", pa.array(["16777217"]), pa.array(["16777216"])) == [[1.0]]
    assert dense("a - b", pa.array(["x"]), pa.array([[None]], pa.list_(pa.int32()))) == [[0.0]]


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        ("len(a)", 4.0), ("reduce_sum(a)", 10.0), ("reduce_mean(a)", 2.5), ("reduce_prod(a)", 24.0), ("reduce_min(a)", 1.0),
        ("reduce_max(a)", 4.0), ("squared_norm(a)", 30.0), ("l2_norm(a)", math.sqrt(30)), ("variance(a)", 1.25),
        ("pop_variance(a)", 5 / 3), ("std_dev(a)", math.sqrt(1.25)), ("pop_std_dev(a)", math.sqrt(5 / 3)), ("dot(a, b)", 20.0),
        ("euclid_dist(a, b)", math.sqrt(20)), ("corr(a, b)", -1.0), ("dot(a, c)", 100.0), ("len(a + b) * c", 40.0),
        ("reduce_sum(abs(a - reduce_mean(a)))", 4.0), ("dot(a, 2)", 20.0), ("c > len(b) ? reduce_max(b) : 0", 4.0),
    ],
)  # fmt: skip
def test_functions_of_vectors_have_the_number_worked_out_by_hand(formula, wanted):
    a, b, c = pa.array([[1, 2, 3, 4]]), pa.array([[4.0, 3.0, 2.0, 1.0]]), pa.array([10])
    assert dense(formula, a, b, c) == [[pytest.approx(wanted, rel=1e-6)]]


def test_a_missing_variable_may_be_filled():
    a, b = pa.array([1.0, None]), pa.array([[1.0, 2.0], [3.0, 4.0]])
    assert dense("a + b", a, b, value_dim=2, fill_missing=10) == [[2, 3], [13, 14]]
    assert dense("a + b", a, b, value_dim=2, fill_missing="NaN", default_value="7") == [[2, 3], [7, 7]]


@pytest.mark.parametrize(
    ("formula", "a", "b"),
    [("a+b", [[1, 2, 3]], [[1, 2]]), ("dot(a,b)", [[1, 2, 3]], [[1, 2]]), ("len(a)+b", [[1]], [[1, 2]]), ("a", [[1, 2]], [[1]])],
)
def test_lengths_that_do_not_fit_are_refused(formula, a, b):
    with pytest.raises(InputError, match=r"feature 'f', row 0: "):
        expr(formula, pa.array(a), pa.array(b))
