"""The text of normalizers: what it means, and what a wrong one is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvm_rank.config.expression import parse
from tvm_rank.config.normalizer import parse_normalizer
from tvm_rank.config.spec import Expression, Log10, MinMax, ZScore


@pytest.mark.parametrize(
    ("text", "normalizer"),
    [
        ("method=minmax,min=0.1,max=8e-1", MinMax(min=0.1, max=0.8)),
        ("method=zscore, mean = 0.1 ,\tstandard_deviation=-2", ZScore(mean=0.1, standard_deviation=-2.0)),
        ("standard_deviation=1,mean=+.5,method=zscore", ZScore(mean=0.5, standard_deviation=1.0)),
        ("method=log10", Log10(threshold=1.0, default=0.0)),
        ("method=log10,threshold=0,default=-5", Log10(threshold=0.0, default=-5.0)),
        (
            "method=expression, expr=min(x, 2) == 2 ? 1 : x",
            Expression(text="min(x, 2) == 2 ? 1 : x", tree=parse("min(x,2)==2?1:x")),
        ),
    ],
)
def test_a_normalizer_is_its_method_and_its_parameters(text, normalizer):
    assert parse_normalizer(text) == normalizer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min=1", "no method; start with 'method=' and one of minmax, zscore, log10, expression"),
        ("", "'' is not key=value; write method=...,key=value,..."),
        ("method=minmax,min", "'min' is not key=value; write method=...,key=value,..."),
        ("method=zscor", "unknown method 'zscor'; did you mean 'zscore'?"),
        ("method=bound_regular", "unknown method 'bound_regular'; allowed: minmax, zscore, log10, expression"),
        ("method=minmax,mni=1,max=2", "minmax has no 'mni'; did you mean 'min'?; it takes min, max"),
        ("method=minmax", "minmax needs min and max: method=minmax,min=...,max=..."),
        ("method=zscore,mean=1", "zscore needs standard_deviation: method=zscore,mean=...,standard_deviation=..."),
        ("method=minmax,min=1,min=2,max=3", "'min' is given twice; keep one"),
        ("method=minmax,min=a,max=3", "min='a' is not a number"),
        ("method=minmax,min=nan,max=3", "min=nan is not a finite float32"),
        ("method=minmax,min=1,max=1e39", "max=1e39 is not a finite float32"),
        ("method=minmax,min=1,max=1.00000001", "minmax needs min < max in float32, got min=1.0 and max=1.00000001"),
        ("method=zscore,mean=0,standard_deviation=1e-60", "zscore needs standard_deviation != 0 in float32, got 1e-60"),
        ("method=log10,threshold=-1", "log10 needs threshold >= 0, got -1.0: log10 is defined above 0 only"),
        ("method=expression", "expression needs expr: method=expression,expr=..."),
        ("method=expression,expr=x+y", "in expr='x+y', column 3: found 'y', wanted the variable 'x'"),
        ("method=expression,expr=rnd(0)", "in expr='rnd(0)', column 1: function 'rnd' cannot be used here: a random number"),
    ],
)
def test_a_wrong_normalizer_is_told_what_is_wanted(text, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is compared below
        parse_normalizer(text)
    assert str(caught.value).startswith(message)


@given(st.text(alphabet="method=minaxzscorelg10exprn,. \t-59") | st.text())
def test_any_text_is_a_normalizer_or_a_value_error(text):
    for candidate in (text, f"method=minmax,{text}", f"method=expression,expr={text}"):
        try:
            normalizer = parse_normalizer(candidate)
        except ValueError:
            continue
        assert isinstance(normalizer, (MinMax, ZScore, Log10, Expression))
