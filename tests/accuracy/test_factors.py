"""Factors that let inputs of different size share the levels of int8."""

from __future__ import annotations

import numpy as np
import pytest

from tvm_rank.accuracy.factors import judge


def _layer(seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(200, 64)).astype(np.float32), rng.normal(size=(64, 32)).astype(np.float32)


def test_an_input_that_is_much_larger_gets_a_small_factor():
    x, weight = _layer()
    x[:, 3] *= 1000
    weight[3] /= 1000
    found = judge(x, weight, "int8")
    assert found.factors is not None
    assert found.factors[3] < np.median(found.factors) / 30
    assert found.error < 0.02


@pytest.mark.parametrize(("precision", "most"), [("int8", 0.02), ("bf16", 0.005)])
def test_inputs_of_one_size_err_little(precision: str, most: float):
    assert 0 < judge(*_layer(), precision).error < most


def test_without_rows_the_weight_is_judged():
    x, weight = _layer()
    assert 0 < judge(x[:0], weight, "int8").error < 0.02


def test_inputs_that_are_always_zero_and_weights_of_zero_are_harmless():
    x, weight = _layer()
    x[:, 5], weight[6], weight[:, 7] = 0, 0, 0
    found = judge(x, weight, "int8")
    assert np.isfinite(found.error)
    assert found.factors is None or (np.isfinite(found.factors).all() and (found.factors > 0).all())


def test_rows_that_are_not_finite_leave_the_factors_out():
    x, weight = _layer()
    x[0, 0] = np.inf
    assert judge(x, weight, "int8").factors is None
