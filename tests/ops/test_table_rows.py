"""Rows of tables in fewer bytes: sizes, errors, extreme numbers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from te_schedules.column_group import table_format
from tvm_rank.ops import table_rows
from tvm_rank.ops.table_rows import PRECISIONS, decode, encode, refused, row_bytes

DIMS = (1, 2, 5, 8, 16, 17, 24, 32, 64, 100)
CODED = ("int8", "int4")
RELATIVE_RMS = {"fp32": 0.0, "fp16": 2.2e-4, "bf16": 1.8e-3, "int8": 6.5e-3, "int4": 0.11}  # of normal numbers, up to 100 wide


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_normal_rows_keep_the_bytes_and_the_error_of_their_precision(precision: str, dim: int):
    values = np.random.default_rng(dim).standard_normal((2000, dim)).astype(np.float32)
    given_values = values.copy()
    rows = encode(values, precision)
    np.testing.assert_array_equal(values, given_values)
    assert rows.shape == (2000, row_bytes(precision, dim))
    assert rows.dtype == np.uint8
    found = decode(rows, precision, dim)
    assert found.dtype == np.float32
    assert np.sqrt(np.mean((found - values) ** 2) / np.mean(values**2)) <= RELATIVE_RMS[precision]


def test_rows_are_as_small_as_promised():
    for dim in range(16, 300):
        assert 4 * dim / row_bytes("int8", dim) >= 3.5
        assert 4 * dim / row_bytes("int4", dim) >= (7 if dim not in (17, 19) else 6.8)
        assert row_bytes("fp16", dim) == row_bytes("bf16", dim) == 2 * dim


def test_kernels_and_the_definition_agree_on_names_and_on_how_far_is_read():
    assert table_format.PRECISIONS == table_rows.PRECISIONS
    for precision in PRECISIONS:
        for dim in range(1, 200):
            assert table_format.TableFormat(precision, dim).row_bytes == row_bytes(precision, dim)
            ends = [0]
            for span in table_format.TableFormat(precision, dim).spans():
                assert span.first == ends[-1]
                ends.append(span.first + span.times * span.count)
                read = span.first + (span.times - 1) * span.count + span.lanes
            assert ends[-1] == dim
            beyond = row_bytes(precision, read) - row_bytes(precision, dim)
            assert beyond <= (0 if precision == "fp32" else table_rows.PAD_BYTES)


def test_the_values_worked_out_by_hand():
    row = np.array([[8.0, -3.5, 0.0, 0.4, 1.0]], np.float32)
    assert encode(row, "int4").tolist() == [[0x80 | (22 << 2), 0x48, 0x00, 0x0F]]  # scale -1: 8 is code -8, -3.5 rounds to code 4
    assert decode(encode(row, "int4"), "int4", 5).tolist() == [[8.0, -4.0, 0.0, 0.0, 1.0]]
    row = np.array([[251.0, -100.0 + 100.0, 17.0]], np.float32)
    assert encode(row, "int8").tolist() == [[0, (49 << 4 << 6) >> 8, 251, 0, 17]]  # scale 1, zero 0
    row = np.array([[-3.0, 248.0, 0.0]], np.float32)
    assert encode(row, "int8").tolist() == [[1, (49 << 4 << 6) >> 8, 1, 252, 4]]  # scale 1, zero 4
    assert decode(encode(row, "int8"), "int8", 3).tolist() == [[-3.0, 248.0, 0.0]]
    for precision, bits in (("fp16", [0x00, 0x3C, 0x01, 0x00]), ("bf16", [0x80, 0x3F, 0x80, 0x33])):
        assert encode(np.array([[1.0, 2.0**-24]], np.float32), precision).tolist() == [bits]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_zeros_stay_zeros_beside_anything(precision: str):
    values = np.zeros((4, 9), np.float32)
    values[1, 0], values[2, 0], values[3, :2] = 1.0, -3e-9, (700.0, -650.0)
    found = decode(encode(values, precision), precision, 9)
    assert not found[0].any()
    assert not found[:, 2:].any()


@pytest.mark.parametrize("precision", CODED)
def test_rows_below_the_smallest_scale_become_zeros(precision: str):
    tiny = np.array([[1e-38, -1e-45, 0.0], [1e-20, 2e-20, -1e-20]], np.float32)
    assert not decode(encode(tiny, precision), precision, 3).any()
    assert refused(tiny, precision) is None


LARGEST = {"fp16": 65519.0, "bf16": 3.38e38, "int8": 7.9e6, "int4": 7168.0}
TOO_LARGE = {"fp16": 65520.0, "bf16": 3.4e38, "int8": 8e6, "int4": 7169.0}


@pytest.mark.parametrize("precision", LARGEST)
def test_numbers_up_to_the_largest_are_kept_and_those_beyond_are_refused_with_their_row(precision: str):
    values = np.ones((5, 4), np.float32)
    values[2] = [LARGEST[precision], 0.0, -1.0, 2.0]
    assert refused(values, precision) is None
    assert np.isfinite(decode(encode(values, precision), precision, 4)).all()
    values[3, 1] = -TOO_LARGE[precision]
    row, why = refused(values, precision)
    assert row == 3
    assert why.startswith(f"holds {np.float32(-TOO_LARGE[precision]):g}, and {precision} reaches to ")
    for wrong in (np.nan, np.inf, -np.inf):
        values[1, 3] = wrong
        assert refused(values, precision) == (1, f"holds {wrong}, for which {precision} has no number")
    assert refused(values, "fp32") is None


def test_an_int8_row_is_refused_by_the_distance_of_its_ends():
    values = np.array([[5e6, 4e6], [5e6, -4e6]], np.float32)
    row, why = refused(values, "int8")
    assert row == 1
    assert "from the smallest to the largest number of a row" in why


_extreme = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1e-45, -1e-38, 7168.0, 65504.0])
_rows = hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 20)), elements=_extreme)


@pytest.mark.parametrize("precision", PRECISIONS)
@settings(max_examples=150, deadline=None)
@given(values=_rows)
def test_a_row_that_is_not_refused_has_a_bounded_error(precision: str, values: np.ndarray):
    while (problem := refused(values, precision)) is not None:
        values = np.delete(values, problem[0], axis=0)
    if not len(values):
        return
    found = decode(encode(values, precision), precision, values.shape[1])
    assert np.isfinite(found).all()
    exact, wide = values.astype(np.float64), np.ptp(np.column_stack([values, np.zeros(len(values))]).astype(np.float64), axis=1)
    largest = np.abs(exact).max(axis=1)
    bound = {
        "fp32": np.zeros_like(exact),
        "fp16": np.abs(exact) * 2.0**-11 + 2.0**-25,
        "bf16": np.abs(exact) * 2.0**-8 + 1e-40,
        "int8": (wide / 251 * (17 / 16) * 0.51 + 2.0**-49)[:, None],
        "int4": (largest / 8 * 1.25 * 1.01 + 2.0**-22)[
            :, None
        ],  # the number of the other sign that is as large falls short of a code
    }[precision]
    assert (np.abs(found - exact) <= bound).all()
    again = encode(found, precision)
    np.testing.assert_allclose(decode(again, precision, values.shape[1]), found, rtol=0, atol=bound.max())
