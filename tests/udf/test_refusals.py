"""What the subset of Python cannot express is refused with file, line and reason."""

from __future__ import annotations

import math
import re

import pytest

import tvm_rank
from tvm_rank.errors import ConfigError, UdfError
from tvm_rank.functions.program import compile_udf

TABLE = {"a": 1}
HUGE = 2**64


def f_dict(a: int) -> int:
    return TABLE[a]


def f_text(a: int) -> str:
    return str(a)


def f_power(a: int, b: int) -> int:
    return a**b


def f_and(a: int, b: int) -> int:
    return a and b


def f_nested(n: int) -> int:
    rows = [[0] * n] * n
    return rows[0][0]


def f_try(a: int) -> int:
    try:
        return 1 // a
    except ZeroDivisionError:
        return 0


def f_unset(a: int) -> int:
    if a > 0:
        b = 1
    return b


def f_types(a: int, t: str) -> int:
    b = a
    b = t
    return b


def f_none(a: int) -> int:
    if a > 0:
        return None
    return a


def f_returns(a: float) -> int:
    return a


def f_empty(a: int) -> int:
    xs = []
    return len(xs) + a


def f_big(a: int) -> int:
    return a & 0xFFFFFFFFFFFFFFFF


def f_outer(a: int) -> int:
    return a + HUGE


def f_call(a: int) -> int:
    return sorted([a])[0]


def f_math(a: float) -> float:
    return math.gamma(a)


def f_split(a: str) -> int:
    return len(a.split(","))


def f_step(a: str) -> str:
    return a[::-1]


def f_parameter(a: int) -> int:
    a = 0.5
    return a


def f_lambda(a: int) -> int:
    g = lambda x: x  # noqa: E731
    return g(a)


def f_shadow(a: int) -> int:
    return len([x for x in range(a) if len([y for y in range(x)]) > 1])


CASES = [
    (f_dict, "'TABLE' is no parameter, local or module-level number or text"),
    (f_text, "`str` cannot be called here; what can: abs, all"),
    (f_power, "the power of an integer must be a constant from 0 to 64"),
    (f_and, "`and` takes conditions; write a comparison"),
    (f_nested, "a list of list[int] is not in the subset; use one list, and the index row * width + column"),
    (f_try, "`try:` is not in the subset"),
    (f_unset, "'b' may be read before it has a value; give it one first"),
    (f_types, "'b' is int elsewhere, and str here"),
    (f_none, "it returns None; annotate the result `int | None`"),
    (f_returns, "the result must be int, got float"),
    (f_empty, "nothing says what 'xs' holds; annotate it: `xs: list[int] = []`"),
    (f_big, "18446744073709551615 is no 64-bit integer"),
    (f_outer, "'HUGE' is no parameter, local or module-level number or text"),
    (f_call, "`sorted` cannot be called here"),
    (f_math, "math.gamma is not in the subset; what is: sqrt"),
    (f_split, "str.split is not in the subset; texts have startswith and endswith"),
    (f_step, "a slice has no step here"),
    (f_parameter, "the parameter 'a' is int, and this is float"),
    (f_lambda, "`lambda x: x` is not in the subset"),
    (f_shadow, "a comprehension stands alone, not in a condition or another one"),
]


@pytest.mark.parametrize(("function", "reason"), CASES, ids=[function.__name__ for function, _ in CASES])
def test_a_body_outside_of_the_subset_is_refused_with_its_line(function, reason):
    with pytest.raises(UdfError, match=rf"test_refusals\.py:\d+: in the udf '{function.__name__}': {re.escape(reason)}") as error:
        compile_udf(tvm_rank.udf(function))
    line = int(re.search(r":(\d+):", str(error.value))[1])
    assert function.__code__.co_firstlineno <= line <= function.__code__.co_firstlineno + 6


def test_a_header_outside_of_the_subset_is_refused_when_it_is_defined():
    with pytest.raises(UdfError, match="'b' has no annotation; write one of int, float, bool, str, bytes, list"):

        @tvm_rank.udf
        def bare(a: int, b) -> int:
            return a + b

    with pytest.raises(UdfError, match=r"'a' is annotated dict\[str,int\]"):

        @tvm_rank.udf
        def mapped(a: dict[str, int]) -> int:
            return len(a)

    with pytest.raises(UdfError, match="an input has no default; put a `\\*,` before parameters that are options"):

        @tvm_rank.udf
        def optional(a: int = 3) -> int:
            return a

    with pytest.raises(UdfError, match="'the result' has no annotation"):

        @tvm_rank.udf
        def endless(a: int):
            return a

    with pytest.raises(UdfError, match="cannot be read"):
        tvm_rank.udf(eval("lambda a: a"))


@tvm_rank.udf
def scaled(a: int, *, by: float = 2.0) -> float:
    return a * by


def load(udfs=(scaled,), **keys):
    feature = {"feature_name": "f", "feature_type": "custom_feature", "operator_name": "scaled", "expression": ["user:a"], **keys}
    from tvm_rank.config.load import load_config

    return load_config({"features": [feature]}, udfs=udfs).features[0]


def test_a_feature_sets_the_options_of_its_function():
    assert load(by=3).function(2) == 6.0
    assert load().function(2) == 4.0


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"operator_name": "scald"}, "operator_name: no function 'scald' is known; did you mean 'scaled'?; give it as `udfs`"),
        ({"expression": ["user:a", "user:b"]}, "expression: 'scaled' takes 1 inputs (a: int), got 2"),
        ({"by": "x"}, "by: wanted a float as its default 2.0 is, got the text 'x'"),
        ({"encoding": "utf-8"}, "encoding: is no option of 'scaled'; remove it"),
        ({"by_": 1}, "by_: unknown key; did you mean 'by'?"),
        ({"operator_name": "SeqExpr"}, "'formula' is missing; write a formula over the inputs' names"),
        ({"operator_name": "SeqExpr", "formula": "a +"}, "formula: column 4: found the end"),
        ({"operator_name": "SeqExpr", "formula": "spherical_distance"}, "formula: spherical_distance takes 4 inputs"),
        ({"vocab_list": ["a"], "default_bucketize_value": 0}, "vocab_list: is for texts and integers"),
    ],
)
def test_a_wrong_custom_feature_is_told_where_what_and_what_was_wanted(keys, wanted):
    with pytest.raises(ConfigError) as caught:
        load(**keys)
    assert any(wanted in problem for problem in caught.value.problems), caught.value.problems


def test_two_functions_of_one_name_and_what_is_no_function_are_refused():
    other = tvm_rank.udf(name="scaled")(f_power)
    with pytest.raises(ConfigError, match="two functions have the name 'scaled'"):
        load(udfs=[scaled, other])
    with pytest.raises(ConfigError, match=r"is no user-defined function; put @tvm_rank.udf before its `def`"):
        load(udfs=[f_power])
