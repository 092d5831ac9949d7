"""exp, log and sigmoid as vector instructions: next to the true doubles everywhere, and right at the special ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tvm_rank.features import compile_features

OPTIMIZED = True  # see tests/conftest.py

TRUE = {"exp": np.exp, "log": np.log, "ln": np.log, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}
SPECIAL = [
    0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 5e-324, 1e-310, 2.0**-1022, 1.7976931348623157e308, 709.78, 709.79, 710.0, 711.0,
    -708.0, -744.0, -745.2, -746.0, -800.0, 0.5, 2.0, math.sqrt(0.5), math.sqrt(2), math.e, 1e-17, 1 + 2.0**-52,
]  # fmt: skip


@pytest.fixture(scope="module")
def program():
    values = {name: {"expression": f"{name}(x)", "variables": ["item:x"]} for name in TRUE}
    # in units of 1e-15: what a float32 of the value would not show
    errors = {f"{name} error": {"expression": f"({name}(x) - {name}_y) / abs({name}_y) * 1e15", "variables": ["item:x", f"item:{name}_y"]}
              for name in TRUE}  # fmt: skip
    features = [{"feature_name": name, "feature_type": "expr_feature", **keys} for name, keys in (values | errors).items()]
    return compile_features({"features": features})


@pytest.mark.parametrize("name", TRUE)
def test_numbers_are_next_to_the_true_ones(program, name):
    draw = np.random.default_rng(0)
    parts = [draw.normal(size=20_000) * 5, draw.uniform(-745, 709, 20_000), np.exp(draw.uniform(-700, 700, 20_000))]
    x = np.concatenate([*parts, 1 + draw.normal(size=9_999) * 1e-3, SPECIAL])
    with np.errstate(all="ignore"):
        true = {f"{other}_y": function(x) for other, function in TRUE.items()}
        wanted = true[f"{name}_y"].astype(np.float32)
    out = program({"x": x} | true)
    np.testing.assert_allclose(out[name].dense[:, 0], wanted, rtol=2e-7, atol=2e-45)
    normal = np.isfinite(true[f"{name}_y"]) & (np.abs(true[f"{name}_y"]) > 1e-300)
    assert np.abs(out[f"{name} error"].dense[normal, 0]).max() < 1.0
