"""custom_feature in compiled kernels: functions of users and those that ship, against Python."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import custom_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

from tvm_rank.errors import InputError

TEXTS = (pa.string(), pa.list_(pa.string()), pa.int64())
NUMBERS = (pa.string(), pa.int64(), pa.float32(), pa.float64(), pa.list_(pa.int32()), pa.list_(pa.float64()))


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES | {f"{name}-one": keys for name, keys in cases.ONE.items()}, udfs=cases.FUNCTIONS)


@pytest.fixture(scope="module")
def lone() -> Compiled:
    """Features whose inputs always fit: at most one scalar parameter."""
    names = ("lists", "bytes", "digits")
    return Compiled({name: cases.FEATURES[name] for name in names}, udfs=cases.FUNCTIONS)


@pytest.mark.parametrize("columns", **named(cases.COLUMNS))
def test_each_named_batch_has_the_results_of_python(compiled, columns):
    columns = cases.GOOD | columns
    if compiled.refuses(columns):
        compiled.check_refused(columns)
        columns = {name: column.slice(0, 1) for name, column in columns.items()}
    if not compiled.refuses(columns):
        compiled.check(columns)


@pytest.mark.parametrize("columns", **named(cases.MISFITS))
def test_inputs_of_other_counts_are_refused_with_feature_and_row(compiled, columns):
    columns = cases.GOOD | columns
    assert compiled.refuses(columns)
    compiled.check_refused(columns)


@st.composite
def batches(draw, fields):
    rows = draw(st.sampled_from(arrow.SIZES))
    return {name: draw(arrow.columns(rows, kinds)) for name, kinds in fields.items()}


@given(columns=batches({"a": TEXTS, "x": NUMBERS, "n": NUMBERS}))
@settings(max_examples=25)
def test_generated_batches_have_the_results_of_python(lone, columns):
    lone.check(columns)


def test_a_function_that_never_ends_is_refused():
    import tvm_rank

    @tvm_rank.udf
    def endless(n: int) -> int:
        k = 0
        while k >= 0:
            k = (k + n) % 7
        return k

    @tvm_rank.udf
    def hungry(n: int) -> int:
        xs = [n]
        while len(xs) > 0:
            xs = [n] * 10_000_000
        return 0

    for function in (endless, hungry):
        feature = {"feature_name": "f", "feature_type": "custom_feature", "operator_name": function.name, "expression": "item:n"}
        program = tvm_rank.compile_features({"features": [feature]}, udfs=[function])
        with pytest.raises(InputError, match=f"feature 'f', row 0: .*the function '{function.name}' takes too much time or memory"):
            program({"n": [1]})


def test_texts_of_10_mb_are_refused_or_done(compiled):
    long = cases.GOOD | {"a": pa.array(["a" * 10_000_000]), "b": pa.array(["b" * 10_000_000])}
    with pytest.raises(InputError, match="'EditDistance' takes too much time or memory"):
        compiled.program(long)
