"""Formulas in kernels against their NumPy definition: every operator and function, at ordinary and at special numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.feature import formula
from tvm_rank.config.evaluation import evaluate
from tvm_rank.config.expression import parse
from tvm_rank.config.normalizer import parse_normalizer
from tvm_rank.lowering.normalizers import shape_of

EXACT = [
    "x", "-x", "+x", "!x", "!!x", "x + 0.1", "x - 0.1", "x * 3.3", "x / 3.3", "0.1 / x", "x * x - x", "x * 0.1 + 0.2", "x < 1",
    "x <= 1", "x > 1", "x >= 1", "x == 1", "x != 1", "x < x", "x == x", "x != x", "x <= x", "x - x", "x / x",
    "(x + 1) == (x + 1)", "x && 1", "x && 0", "x || 0", "0 || x", "x | 5", "x & 6", "x & x", "x > 16 ? 16 : x", "x ? 1 : 2",
    "x < 0 ? -x : x > 5 ? 5 : x", "isnan(x)", "sign(x)", "abs(x)", "rint(x)", "floor(x)", "ceil(x)", "trunc(x)", "round(x)",
    "round(x * 10) / 10", "sqrt(x)", "mod(x, 3)", "mod(-7.5, x)", "min(x, 1, -x)", "max(x, 1, -x)", "min(1, x)", "max(1, x)",
    "sum(x, 0.1, 0.2)", "avg(x, 1, 2)", "sum(x)", "roundp(x, 2)", "roundp(x, -1)", "(x - 1) * (x + 1) == x * x - 1", "_pi * x",
    "1 - x / 2 - 3",
]  # fmt: skip
LIBM = [
    "sin(x)", "cos(x)", "tan(x)", "asin(x)", "acos(x)", "atan(x)", "sinh(x)", "cosh(x)", "tanh(x)", "asinh(x)", "acosh(x)",
    "atanh(x)", "log2(x)", "log10(x)", "log(x)", "ln(x)", "exp(x)", "sigmoid(x)", "x ^ 2", "2 ^ x", "x ^ 0.3", "x ^ x",
    "log(x + 1) * 0.5 + sqrt(x)",
]  # fmt: skip
DISTANCES = ["sphere_dist(x, 10, 20, -30)", "haversine(x, 10, 20, -30)", "haversine(120, x, 121, 31)"]
SPECIAL = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.1, 3.0, 16.0, 0.49999999999999994, 4503599627370497.5, 2.0**53, 2.0**63, -(2.0**63),
    -(2.0**64), 1e300, -1e300, 5e-324, 1e-310, math.inf, -math.inf, math.nan, 1.005, 2.675, 1234.5678, 700.0, -750.0, math.pi,
]  # fmt: skip
ALL = EXACT + LIBM + DISTANCES


def shape_and_constants(text: str) -> tuple[tuple, np.ndarray]:
    return shape_of(parse_normalizer(f"method=expression,expr={text}"))


class Formulas:
    """All formulas in one kernel: numbers (n,) -> values (formulas, n), float64."""

    def __init__(self, texts: list[str]):
        shapes, numbers = zip(*map(shape_and_constants, texts), strict=True)
        self._constants = np.concatenate([*numbers, np.zeros(1)])
        self._firsts = np.cumsum([0, *map(len, numbers)])
        self._run = tvm.tirx.build(tvm.IRModule({"kernel": self._kernel(shapes)}), target=tvm.target.Target({"kind": "llvm"}))[
            "kernel"
        ]
        self.texts = texts

    def _kernel(self, shapes):
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("kernel")
            T.func_attr({"global_symbol": "kernel", "tirx.noalias": True})
            handles = [T.arg(name, T.handle()) for name in ("p_constants", "p_numbers", "p_out")]
            count = T.int64()
            constants = T.match_buffer(handles[0], (self._constants.size,), "float64", align=8)
            numbers = T.match_buffer(handles[1], (count,), "float64", align=8)
            out = T.match_buffer(handles[2], (len(shapes), count), "float64", align=8)
            with intrin.imports(), T.serial(count) as i:
                for k, shape in enumerate(shapes):
                    x = intrin.let(numbers[i])
                    value = formula.emit(shape, x, lambda c, first=int(self._firsts[k]): constants[first + c])
                    T.buffer_store(out, value, [k, i])
        return builder.get()

    def values(self, numbers: list[float]) -> np.ndarray:
        out = np.zeros((len(self.texts), len(numbers)))
        self._run(self._constants, np.array(numbers), out)
        return out


@pytest.fixture(scope="module")
def formulas() -> Formulas:
    return Formulas(ALL)


def assert_values(formulas: Formulas, numbers: list[float]) -> None:
    got = formulas.values(numbers)
    for text, values in zip(formulas.texts, got, strict=True):
        wanted = np.broadcast_to(evaluate(parse(text), {"x": np.array(numbers)}), values.shape)
        tolerance = {"rtol": 0.0, "atol": 0.0} if text in EXACT else {"rtol": 1e-11, "atol": 1e-3 if "dist" in text else 1e-300}
        np.testing.assert_allclose(values, wanted, **tolerance, err_msg=text)
        if text in EXACT:  # allclose takes -0 for 0
            same_sign = (np.signbit(values) == np.signbit(wanted)) | np.isnan(wanted)
            assert same_sign.all(), f"{text}: signs at {np.array(numbers)[~same_sign]}"


def test_every_formula_has_its_value_at_special_numbers(formulas):
    assert_values(formulas, SPECIAL)


@given(numbers=st.lists(st.floats() | st.floats(-1e3, 1e3) | st.integers(-50, 50).map(float), min_size=1, max_size=30))
def test_every_formula_has_its_value_at_generated_numbers(formulas, numbers):
    assert_values(formulas, numbers)


def test_no_function_or_operator_is_left_out():
    used = " ".join(ALL)
    assert [name for name in formula.FUNCTIONS if f"{name}(" not in used] == []
    assert [operator for operator in formula.BINARY if f" {operator} " not in used] == []
    assert [operator for operator in formula.UNARY if f"{operator}x" not in used] == []


def test_equal_formulas_with_other_numbers_share_their_shape():
    (one, numbers), (other, others) = (shape_and_constants(text) for text in ("x > 16 ? 16 : x", "x > 7 ? 7.5 : x"))
    assert one == other
    assert (numbers.tolist(), others.tolist()) == ([16.0, 16.0], [7.0, 7.5])
