"""Formulas: how they are read, what they mean, and what a wrong one is told."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvm_rank.config.evaluation import _FUNCTIONS
from tvm_rank.config.expression import ARITY, MAX_DEPTH, Binary, Call, Conditional, Number, Unary, Variable, evaluate, parse

X, ONE, TWO = Variable("x"), Number(1.0), Number(2.0)


def value(text: str, x: float = 0.0) -> float:
    return float(evaluate(parse(text), {"x": x}))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x", X),
        (" 1.e0 ", ONE),
        ("_pi", Number(math.pi)),
        ("x-1-2", Binary("-", Binary("-", X, ONE), TWO)),
        ("x^1^2", Binary("^", X, Binary("^", ONE, TWO))),
        ("-x^2", Unary("-", Binary("^", X, TWO))),
        ("x^-2", Binary("^", X, Unary("-", TWO))),
        ("-x*2", Binary("*", Unary("-", X), TWO)),
        ("!x==1", Binary("==", Unary("!", X), ONE)),
        ("x>1?1:x<2?2:x", Conditional(Binary(">", X, ONE), ONE, Conditional(Binary("<", X, TWO), TWO, X))),
        ("max(x,1,(2))", Call("max", (X, ONE, TWO))),
    ],
)
def test_a_formula_is_read_as_a_tree(text, tree):
    assert parse(text) == tree


RISING = ["||", "&&", "|", "&", "==", "+", "*", "^"]


@pytest.mark.parametrize(("weak", "strong"), list(itertools.pairwise(RISING)))
def test_operators_bind_in_the_order_of_the_specification(weak, strong):
    assert parse(f"x {weak} 1 {strong} 2") == Binary(weak, X, Binary(strong, ONE, TWO))
    assert parse(f"x {strong} 1 {weak} 2") == Binary(weak, Binary(strong, X, ONE), TWO)


@pytest.mark.parametrize("op", ["<=", ">=", "!=", "==", ">", "<"])
def test_comparisons_bind_alike_and_from_the_left(op):
    assert parse(f"x {op} 1 < 2") == Binary("<", Binary(op, X, ONE), TWO)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 < 2", 1.0), ("2 <= 1", 0.0), ("1 != 1", 0.0), ("3 && 0", 0.0), ("3 || 0", 1.0), ("!5", 0.0), ("!0", 1.0),
        ("6.9 | 1", 7.0), ("6.9 & 3", 2.0), ("-1.5 & 7", 7.0), ("2^10", 1024.0), ("7 / 2", 3.5), ("2 > 1 ? 10 : 20", 10.0),
        ("mod(-7, 3)", -1.0), ("round(0.5)", 1.0), ("round(-2.5)", -3.0), ("rint(2.5)", 2.0), ("trunc(-1.9)", -1.0),
        ("roundp(2.345, 1)", 2.3), ("sign(-3)", -1.0), ("sign(0)", 0.0), ("min(3, 1, 2)", 1.0), ("max(3, 1, 2)", 3.0),
        ("sum(1, 2, 3)", 6.0), ("avg(1, 2, 6)", 3.0), ("sigmoid(0)", 0.5), ("log(_e)", 1.0), ("ln(_e)", 1.0), ("log2(8)", 3.0),
        ("log10(1000)", 3.0), ("isnan(0)", 0.0), ("abs(-2)", 2.0), ("floor(-0.5)", -1.0), ("ceil(0.2)", 1.0),
    ],
)  # fmt: skip
def test_a_formula_has_the_value_worked_out_by_hand(text, wanted):
    assert value(text) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("function", ["sphere_dist", "haversine"])
def test_distances_take_degrees_and_give_kilometres(function):
    quarter = 6371 * math.pi / 2
    assert value(f"{function}(0, 0, 90, 0)") == pytest.approx(quarter)
    assert value(f"{function}(10, -45, 10, 45)") == pytest.approx(quarter)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x == x", 0.0), ("x != x", 1.0), ("x < 1", 0.0), ("x && 1", 1.0), ("x || 0", 1.0), ("!x", 0.0), ("x ? 5 : 6", 5.0),
        ("x | 4", 4.0), ("sign(x)", 0.0), ("isnan(x)", 1.0), ("min(1, x)", 1.0), ("max(1, x)", 1.0),
        ("min(x, 1)", math.nan), ("x + 1", math.nan), ("round(x)", math.nan), ("avg(x, 1)", math.nan),
    ],
)  # fmt: skip
def test_nan_follows_the_documented_rules(text, wanted):
    assert value(text, math.nan) == pytest.approx(wanted, nan_ok=True)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 / x", math.inf), ("-1 / x", -math.inf), ("x / x", math.nan), ("log10(x)", -math.inf), ("sqrt(-1)", math.nan),
        ("(1 / x) & -1", float(2**63 - 1)), ("(-1 / x) | 0", float(-(2**63))), ("1e30 | 0", float(2**63 - 1)),
        ("2^63 | 0", float(2**63)),
        ("exp(1000)", math.inf), ("round(1 / x)", math.inf), ("sigmoid(-1000)", 0.0),
    ],
)  # fmt: skip
def test_what_has_no_finite_value_gives_inf_or_nan_without_warnings(text, wanted):
    assert value(text, 0.0) == pytest.approx(wanted, nan_ok=True)


def test_formulas_work_elementwise():
    np.testing.assert_array_equal(evaluate(parse("x>16?16:x"), {"x": np.array([[1.0], [20.0]])}), [[1.0], [16.0]])
    product = evaluate(parse("a*b", ("a", "b")), {"a": [1.0, 2.0], "b": 3.0})
    np.testing.assert_array_equal(product, [3.0, 6.0])
    assert product.dtype == np.float64


def test_every_function_can_be_evaluated():
    assert set(_FUNCTIONS) == set(ARITY)
    for name, arity in ARITY.items():
        text = f"{name}({','.join(['0.5'] * (arity or 3))})"
        assert np.isfinite(value(text)) or name == "acosh", text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: found the end, wanted a number, a name, a sign or '('"),
        ("x +", "column 4: found the end, wanted a number, a name, a sign or '('"),
        ("x 2", "column 3: found '2', wanted an operator or the end"),
        ("2x", "column 2: found 'x', wanted an operator or the end"),
        ("x = 2", "column 3: found '=', wanted an operator or the end"),
        ("xé", "column 2: found 'é', wanted an operator or the end"),
        ("(x", "column 3: found the end, wanted ')'"),
        ("x ? 1", "column 6: found the end, wanted ':'"),
        ("abs x", "column 5: found 'x', wanted '('"),
        ("y + 1", "column 1: found 'y', wanted the variable 'x', a constant (_pi, _e) or a function"),
        ("flor(x)", "column 1: found 'flor', wanted the variable 'x', a constant (_pi, _e) or a function; did you mean 'floor'?"),
        ("mod(x)", "column 1: mod takes 2 arguments, got 1"),
        ("sin(x, x)", "column 1: sin takes 1 argument, got 2"),
        ("min()", "column 5: found ')', wanted a number, a name, a sign or '('"),
        ("1e999", "column 1: found '1e999', wanted a number that a double can hold"),
        ("rnd(0)", "column 1: function 'rnd' cannot be used here: a random number would make two runs differ"),
        ("dot(x, x)", "column 1: function 'dot' cannot be used here: it works on vectors, and a normalizer sees one number"),
    ],
)
def test_a_wrong_formula_is_told_the_column_and_what_is_wanted(text, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is compared below
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    ["(" * 9999, "-" * 9999 + "x", "2^" * 9999 + "2", "x?" * 9999, "x?1:" * 9999 + "1", "abs(" * 9999, "+".join("x" * 9999)],
    ids=["brackets", "signs", "powers", "tests", "branches", "calls", "chain"],
)
def test_a_formula_cannot_be_deep_enough_to_overflow_the_stack(text):
    with pytest.raises(ValueError, match=f"nested deeper than {MAX_DEPTH} levels"):
        parse(text)


@pytest.mark.parametrize("text", ["(" * 98 + "x" + ")" * 98, "+".join("x" * MAX_DEPTH), "abs(" * 98 + "x" + ")" * 98])
def test_a_formula_of_the_greatest_depth_is_read_and_evaluated(text):
    assert value(text, 1.0) >= 1.0


@given(st.text(alphabet="x0123.e_pi+-*/^!<>=&|?:(), minabslog") | st.text())
def test_any_text_is_a_formula_or_a_value_error(text):
    try:
        tree = parse(text)
    except ValueError as error:
        message = str(error)
    else:
        message = "column 1"
        assert evaluate(tree, {"x": np.array([0.0, -1.5, np.nan])}).dtype == np.float64
    assert message.startswith("column ")
