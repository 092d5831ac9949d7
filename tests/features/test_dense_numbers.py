"""Numbers that lie side by side are taken many at a time: every count of rows, offset of a slice, dtype and place of a null."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from ops.identity_model import engine_of

import tvm_rank
from tvm_rank.config.load import load_config
from tvm_rank.errors import RowError
from tvm_rank.ops.references import reference

OPTIMIZED = True  # see tests/conftest.py

DTYPES = (pa.int32(), pa.int64(), pa.float32(), pa.float64())
COUNTS = (1, 7, 8, 9, 16, 17, 64, 65, 256, 257, 300)
FG = {
    "features": [
        {"feature_name": "plain", "feature_type": "raw_feature", "expression": "item:x", "default_value": "0.1"},
        {"feature_name": "zscore", "feature_type": "raw_feature", "expression": "item:x", "default_value": "0.5",
         "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"},
        {"feature_name": "log10", "feature_type": "raw_feature", "expression": "item:x", "normalizer": "method=log10,threshold=1"},
        {"feature_name": "vector", "feature_type": "raw_feature", "expression": "item:v", "value_dim": 3, "default_value": "7",
         "normalizer": "method=minmax,min=0.1,max=3"},
        {"feature_name": "text", "feature_type": "raw_feature", "expression": "item:t", "default_value": "0.1",
         "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"},
        {"feature_name": "text_formula", "feature_type": "expr_feature", "expression": "t * 3", "variables": ["item:t"], "separator": "|",
         "default_value": "-1"},
        {"feature_name": "formula", "feature_type": "expr_feature", "expression": "x * 2 - y", "variables": ["item:x", "item:y"],
         "default_value": "4"},
        {"feature_name": "scaled", "feature_type": "expr_feature", "expression": "x + 1", "variables": ["item:x"], "fill_missing": "3",
         "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"},
        {"feature_name": "total", "feature_type": "expr_feature", "expression": "dot(v, w)", "variables": ["item:v", "item:w"]},
    ]
}  # fmt: skip


@pytest.fixture(scope="module")
def program():
    return tvm_rank.compile_features(FG, threads=1)


def numbers(rng: np.random.Generator, count: int, dtype: pa.DataType, nulls: float) -> pa.Array:
    """Some that float32 rounds, and for integers some whose way to float32 by float64 would round twice."""
    values = rng.normal(0, 2, count)
    if pa.types.is_integer(dtype):
        values = rng.integers(-(2**31), 2**31 - 1, count)
        if dtype == pa.int64():
            values[rng.random(count) < 0.5] = 2**60 + 2**36 + 1
    return pa.array(values, mask=rng.random(count) < nulls).cast(dtype, safe=False)


def check(program, columns: dict[str, pa.Array], rows: int) -> None:
    config = load_config(FG)
    outputs = program(columns)
    for feature in config.features:
        wanted = reference(feature, [columns[field.name] for field in feature.fields], rows, config.hash_function)
        np.testing.assert_array_equal(outputs[feature.name].dense, wanted.dense, err_msg=feature.name)


def make(seed: int, count: int, dtype: pa.DataType, nulls: float, offset: int) -> dict[str, pa.Array]:
    rng = np.random.default_rng(seed)
    vectors = [pa.FixedSizeListArray.from_arrays(numbers(rng, 3 * (count + offset), dtype, 0.0), 3) for _ in range(2)]
    v, w = (vector.cast(pa.list_(dtype)) for vector in vectors)
    if nulls:  # a null row among them, or a null in a list
        v = pa.concat_arrays([v.slice(0, count // 2 + offset), pa.array([None], v.type), v.slice(count // 2 + offset + 1)])
        w = pa.concat_arrays([pa.array([[None, 1, 2]], w.type), w.slice(1)])
    x, y = (numbers(rng, count + offset, dtype, nulls) for _ in range(2))
    columns = {"x": x, "y": y, "v": v, "w": w, "t": texts(rng, count + offset, nulls)}
    return {name: column.slice(offset) for name, column in columns.items()}


def texts(rng: np.random.Generator, count: int, nulls: float) -> pa.Array:
    """Decimals short and long, what is no number, nothing; a null may have bytes all the same."""
    odd = ["x", "1e3", "-", "+.5", "-0", "nan", "123456789", "-12345678", "0.30000000000000004", "1.2.3", "." * 9, "½", ""]
    some = [f"{number:.{digits}f}" for number, digits in zip(rng.normal(0, 900, count), rng.integers(0, 6, count), strict=True)]
    strange = rng.random(count) < nulls
    array = pa.array([str(rng.choice(odd)) if use else text for text, use in zip(some, strange, strict=True)])
    if not nulls:
        return array
    valid = pa.array(rng.random(count) < nulls, mask=rng.random(count) < nulls).buffers()[0]
    return pa.StringArray.from_buffers(count, *array.buffers()[1:], null_bitmap=valid)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("nulls", [0.0, 0.3])
def test_blocks_of_numbers_are_what_the_references_say(program, dtype: pa.DataType, nulls: float):
    for count in COUNTS:
        for offset in (0, 1, 13):
            check(program, make(count * 31 + offset, count, dtype, nulls, offset), count)


def test_one_row_serves_all(program):
    columns = make(1, 40, pa.float64(), 0.3, 0)
    for name in ("x", "v", "t"):
        for k in (0, 20):  # 20 is null in v
            check(program, columns | {name: columns[name].slice(k, 1)}, 40)


def test_lists_of_another_length_are_refused_with_their_row(program):
    columns = make(2, 300, pa.float32(), 0.0, 0)
    rows = columns["v"].to_pylist()
    for k, row in ((0, [1.0]), (150, [1.0, 2.0]), (299, [1.0, 2.0, 3.0, 4.0])):
        broken = pa.array([*rows[:k], row, *rows[k + 1 :]], columns["v"].type)
        with pytest.raises(RowError, match=rf"vector.*{k}|{k}.*vector"):
            program(columns | {"v": broken, "w": broken})


def test_an_engine_writes_the_same_numbers_between_those_of_other_features(tmp_path):
    names = ("plain", "zscore", "vector", "formula", "text", "text_formula")
    features = {feature["feature_name"]: feature for feature in FG["features"] if feature["feature_name"] in names}
    engine = engine_of(tmp_path, features, {name: 3 if name == "vector" else 1 for name in names}, None)
    for dtype in DTYPES:
        columns = make(5, 150, dtype, 0.3, 3)
        got = engine.rank(user={"any": [1]}, items={name: columns[name] for name in ("x", "y", "v", "t")})
        for feature in load_config({"features": list(features.values())}).features:
            wanted = reference(feature, [columns[field.name] for field in feature.fields], 150, "std")
            np.testing.assert_array_equal(got[f"{feature.name}_out"], wanted.dense, err_msg=feature.name)


def test_one_text_of_several_values_among_others(program):
    columns = make(4, 300, pa.float64(), 0.0, 0)
    columns["t"] = pa.array(["1.5" if k != 130 else "x|y" for k in range(300)])
    with pytest.raises(RowError, match=r"text_formula.*130|130.*text_formula"):
        program(columns)
    columns["t"] = pa.array(["1.5" if k != 130 else "2.5|" for k in range(300)])  # one value, and an empty one
    check_only = program(columns)["text_formula"].dense[:, 0]
    assert check_only[130] == 7.5
    assert (np.delete(check_only, 130) == 4.5).all()
