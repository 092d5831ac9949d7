"""Hostile rows of id, raw, combo and overlap features and of sequences: 10 MB texts, a million values. Bounded time, or a clear refusal;
both sides of what is refused are those of the definition.
"""

from __future__ import annotations

import time

import pyarrow as pa
import pytest

from te_schedules.feature import combo_feature as combo_kernel
from te_schedules.feature import overlap_feature as overlap_kernel
from tvm_rank.config.load import load_config
from tvm_rank.config.types import combo_feature, overlap_feature
from tvm_rank.errors import InputError, RowError
from tvm_rank.features import program_of
from tvm_rank.ops.dag import references

OPTIMIZED = True  # see tests/conftest.py

SECONDS = 20.0  # generous: the machine may be busy; without limits these take hours
IDS = {"hash_bucket_size": 2**40, "separator": "|"}
METHODS = ("title_common_ratio", "proximity_min_cover", "proximity_min_dist", "is_contain")
FG = {
    "features": [
        {"feature_name": "id", "feature_type": "id_feature", "expression": "item:a", "weighted": True, **IDS},
        {"feature_name": "level", "feature_type": "raw_feature", "expression": "item:number", "boundaries": [0, 1]},
        {"feature_name": "seq", "feature_type": "sequence_id_feature", "expression": "item:a", "sequence_delim": ";", **IDS},
        {"feature_name": "seq_number", "feature_type": "sequence_raw_feature", "expression": "item:a", "sequence_delim": ";"},
    ]
}
CROSSED = {
    "features": [
        {"feature_name": "combo", "feature_type": "combo_feature", "expression": ["user:a", "item:b"], **IDS},
        {
            "feature_name": "three",
            "feature_type": "combo_feature",
            "expression": ["user:a", "item:b", "const:x"],
            "value_dim": 2,
            **IDS,
        },
        *(
            {"feature_name": m, "feature_type": "overlap_feature", "query": "user:q", "title": "item:t", "method": m}
            for m in METHODS
        ),
    ]
}
WORDS = [f"a{k % 5000}" for k in range(1_000_000)]
ROWS = {
    "a word of 10 MB": "x" * 10_000_000,
    "digits": "1" * 10_000_000,
    "separators": "|" * 10_000_000,
    "delimiters": ";" * 5_000_000,
    "values": "|".join(WORDS),
    "elements": ";".join(WORDS),
    "weights": "|".join(f"{k}:1e-{k % 400}" for k in range(500_000)),
    "list": WORDS,
}


@pytest.fixture(scope="module")
def program():
    return program_of(load_config(FG))


@pytest.fixture(scope="module")
def crossed():
    return program_of(load_config(CROSSED))


@pytest.mark.parametrize("name", ROWS)
def test_a_hostile_row_takes_bounded_time(program, name):
    row = ROWS[name]
    begun = time.perf_counter()
    out = program({"a": pa.array([row, row[:1]]), "number": pa.array(["1" * 10_000_000, "0"])})
    assert time.perf_counter() - begun < SECONDS
    count = {"values": 1_000_000, "list": 1_000_000, "weights": 500_000, "separators": 0}.get(name, 1)
    assert out["id"].lengths[0] == count
    assert out["seq"].lengths[0] == {"delimiters": 5_000_001, "elements": 1_000_000, "list": 1_000_000}.get(name, 1)
    assert out["level"].values.tolist() == [2, 1]


@pytest.mark.parametrize(("first", "second"), [(1_000_000, 1_000_000), (4096, 4097)])
def test_too_many_combinations_are_refused_with_feature_and_row(crossed, first, second):
    columns = {"a": pa.array([["x"], ["x"] * first]), "b": pa.array([["y"], ["y"] * second]), "q": ["a", "a"], "t": ["a", "a"]}
    begun = time.perf_counter()
    with pytest.raises(RowError, match=r"row 1: wants at most 16,777,216 combinations of its inputs' values in a row") as error:
        crossed(columns)
    assert time.perf_counter() - begun < SECONDS
    assert error.value.feature == "combo"


def test_a_long_list_crossed_with_one_value_is_not_refused(crossed):
    out = crossed({"a": pa.array([["x"]]), "b": pa.array([WORDS]), "q": ["a"], "t": ["a"]})
    assert out["combo"].lengths.tolist() == [1_000_000]
    assert out["three"].lengths.tolist() == [2]


OVERLAPS = {
    "title_common_ratio": ((2**11, 2**21), (2**11 + 1, 2**21)),
    "proximity_min_cover": ((4, 2**15), (5, 2**15)),
    "is_contain": ((4, 2**15), (5, 2**15)),
    "proximity_min_dist": ((2**4, 2**12), (2**4 + 1, 2**12)),
}


@pytest.mark.parametrize("method", METHODS)
def test_too_many_comparisons_are_refused_as_the_definition_says(method):
    config = load_config({"features": [next(f for f in CROSSED["features"] if f["feature_name"] == method)]})
    program = program_of(config)
    (query, title), wrong = OVERLAPS[method]
    assert program({"q": pa.array([["a"] * min(query, 8)]), "t": pa.array([["a"] * min(title, 2**11)])})[method].dense.shape == (
        1,
        1,
    )
    columns = {"q": pa.array([["a"], ["a"] * wrong[0]]), "t": pa.array([["a"], ["a"] * wrong[1]])}
    with pytest.raises(RowError, match=r"row 1: wants at most 1,073,741,824 comparisons in a row") as refused:
        program(columns)
    with pytest.raises(InputError) as defined:
        references(config, columns, 2)
    assert str(refused.value) == str(defined.value)


def test_long_terms_cost_their_bytes(crossed):
    begun = time.perf_counter()
    out = crossed({"a": ["x"], "b": ["y"], "q": ["x" * 10_000_000], "t": ["x" * 10_000_000]})
    assert out["title_common_ratio"].dense.tolist() == [[1.0]]
    terms = pa.array([["x" * 100_000] * 500])
    with pytest.raises(RowError, match="4 bytes, separators included, as one more term"):
        crossed({"a": ["x"], "b": ["y"], "q": terms, "t": terms})
    assert time.perf_counter() - begun < SECONDS


def test_separators_count_as_much_as_terms():
    rows = pa.array(["a\x1db", "\x1d" * 10_000_000 + "a", ("\x1d" * 1000 + "a") * 2000])
    program = program_of(load_config({"features": [f for f in CROSSED["features"] if f["feature_name"] == "proximity_min_cover"]}))
    begun = time.perf_counter()
    assert program({"q": rows[:2], "t": rows[:2]})["proximity_min_cover"].dense.tolist() == [[2.0], [1.0]]
    with pytest.raises(RowError, match="row 2: wants at most"):
        program({"q": rows, "t": rows})
    assert time.perf_counter() - begun < SECONDS


def test_kernels_and_configurations_have_the_same_limits():
    assert combo_kernel.MOST == combo_feature.MOST_COMBINATIONS
    assert (overlap_kernel.MOST_WORK, overlap_kernel.BYTES_OF_TERM) == (overlap_feature.MOST_WORK, overlap_feature.BYTES_OF_TERM)
