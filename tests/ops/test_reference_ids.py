"""The references of id_feature and combo_feature, on rows worked out by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from reference_outputs import WORDS, ids_of, output_of, rows_of

from tvm_rank.errors import InputError
from tvm_rank.ops.reference import hash_farm, hash_std

STRING_MAP = pa.map_(pa.string(), pa.float64())

# ---------------------------------------------------------------- id_feature


def test_ids_keep_their_order_and_duplicates():
    assert ids_of(pa.array(["b|a|b", None, "", "x"]), **WORDS, separator="|") == [[2, 1, 2], [], [], [0]]


def test_a_missing_row_has_the_id_of_the_default_as_one_token():
    assert ids_of(pa.array(["3|4", "", None]), hash_bucket_size=100, separator="|", default_value="1|2") == [
        [hash_std(b"3") % 100, hash_std(b"4") % 100],
        [hash_std(b"1|2") % 100],
        [hash_std(b"1|2") % 100],
    ]


def test_the_prefix_is_for_values_and_not_for_the_default():
    assert ids_of(pa.array(["a", None]), **WORDS, need_prefix=True, default_value="a") == [[4], [1]]


def test_num_buckets_reads_the_value_without_its_prefix():
    assert ids_of(pa.array(["7"]), num_buckets=9, need_prefix=True) == [[7]]


def test_num_buckets_sends_what_is_out_of_range_to_0():
    column = pa.array(["-1", "0", "99", "100", "+01", "00099", "9223372036854775808", "-9223372036854775809"])
    assert ids_of(column, num_buckets=100) == [[0], [0], [99], [0], [1], [99], [0], [0]]
    assert ids_of(pa.array([2**63 - 1, 5, None]), num_buckets=2**63 - 1, default_value="-3") == [[0], [5], [0]]


@pytest.mark.parametrize("text", ["x", " 1", "1.0", "1:2"])
def test_num_buckets_refuses_other_text_with_its_row(text):
    with pytest.raises(InputError, match=rf"feature 'f', row 1: num_buckets wants an integer, got '{text}'; clean the column"):
        ids_of(pa.array(["1", text]), num_buckets=9)


def test_num_buckets_refuses_a_text_behind_the_kept_ones():
    with pytest.raises(InputError, match="row 0: num_buckets wants an integer, got 'x'"):
        ids_of(pa.array([["1", "x"]]), num_buckets=9, value_dim=1)


def test_value_dim_keeps_the_first_ids():
    assert ids_of(pa.array([["a", "b", "a"], ["b"], []]), **WORDS, value_dim=2) == [[1, 2], [2], []]


@pytest.mark.parametrize(("name", "function"), [("std", hash_std), ("farm", hash_farm)])
def test_integers_are_hashed_by_their_decimal_text(name, function):
    feature = {"feature_type": "id_feature", "expression": "user:c", "hash_bucket_size": 1000}
    out = output_of(feature, pa.array([-7, 0, None]), hash_function=name)
    assert rows_of(out) == [[function(b"-7") % 1000], [function(b"0") % 1000], []]
    assert out.weights is None


def test_a_column_of_one_row_serves_all_rows():
    feature = {"feature_type": "id_feature", "expression": "user:c", **WORDS}
    assert rows_of(output_of(feature, pa.array(["a"]), rows=3)) == [[1], [1], [1]]


def test_no_rows_give_no_ids():
    out = output_of({"feature_type": "id_feature", "expression": "user:c", **WORDS}, pa.array([], pa.string()))
    assert (out.values.shape, out.lengths.shape) == ((0,), (0,))


@pytest.mark.parametrize(
    ("column", "ids", "weights"),
    [
        pytest.param(pa.array(["a:0.5\x1db", "b:x", None]), [[1, 2], [2], [1]], [0.5, 1, 1, 1], id="text"),
        pytest.param(pa.array([["a:2:3", "b:"], [":4"]]), [[1, 2], [0]], [1, 1, 4], id="the-first-colon-cuts"),
        pytest.param(pa.array([[("b", 0.1), ("", 3.0), ("a", None)], None], STRING_MAP), [[2, 1], [1]], [0.1, 1, 1], id="map"),
        pytest.param(pa.array([["a:1e39"]]), [[1]], [np.inf], id="beyond-float32"),
    ],
)
def test_weights_come_with_their_keys(column, ids, weights):
    feature = {"feature_type": "id_feature", "expression": "user:c", "weighted": True, "default_value": "a", **WORDS}
    out = output_of(feature, column)
    assert rows_of(out) == ids
    assert out.weights is not None
    assert out.weights.dtype == np.float32
    np.testing.assert_array_equal(out.weights, np.array(weights, np.float32))


def test_weights_are_cut_with_their_ids():
    feature = {"feature_type": "id_feature", "expression": "user:c", "weighted": True, "num_buckets": 9, "value_dim": 1}
    out = output_of(feature, pa.array([[(5, 2), (6, 3)]], pa.map_(pa.int32(), pa.int64())))
    assert (rows_of(out), out.weights.tolist()) == ([[5]], [2.0])


def test_keys_of_a_map_are_not_split():
    feature = {"feature_type": "id_feature", "expression": "user:c", "weighted": True, "hash_bucket_size": 1000, "separator": "|"}
    out = output_of(feature, pa.array([[("a|b:c", 2.0)]], STRING_MAP))
    assert rows_of(out) == [[hash_std(b"a|b:c") % 1000]]


# ---------------------------------------------------------------- combo_feature


def combos_of(*columns: pa.Array, **keys) -> list[list[int]]:
    expression = [f"user:c{k}" for k in range(len(columns))]
    return rows_of(output_of({"feature_type": "combo_feature", "expression": expression, **WORDS, **keys}, *columns))


def test_the_first_field_is_the_outer_loop():
    assert combos_of(pa.array([["a", "b"]]), pa.array(["c\x1dd"])) == [[5, 6, 7, 8]]
    assert combos_of(pa.array([["a", "b"]]), pa.array(["c\x1dd"]), value_dim=3) == [[5, 6, 7]]


def test_a_row_with_a_missing_field_is_missing():
    left, right = pa.array(["a", None, "a", "a"]), pa.array([["c"], ["c"], [], None])
    assert combos_of(left, right) == [[5], [], [], []]
    assert combos_of(left, right, default_value="b", need_prefix=True) == [[9], [2], [2], [2]]


def test_the_columns_of_a_combo_broadcast():
    assert combos_of(pa.array(["a"]), pa.array(["c", "d", "c"])) == [[5], [6], [5]]


def test_numbers_are_joined_by_their_text():
    feature = {"feature_type": "combo_feature", "expression": ["user:a", "user:b", "item:c"], "hash_bucket_size": 10**6}
    out = output_of(feature, pa.array([10]), pa.array([1.5]), pa.array(["x"]), hash_function="farm")
    assert rows_of(out) == [[hash_farm(b"10_1.5_x") % 10**6]]
