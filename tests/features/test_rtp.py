"""The older dialect: recorded results of its engine, its forms against the definitions, and what of it is refused.

`scripts/check_rtp_vectors.py` runs all recorded results; here are some of each kind, because each takes a compile.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvm_rank import compile_features
from tvm_rank.config.load import load_config
from tvm_rank.errors import ConfigError
from tvm_rank.ops.legacy import legacy_column as defined
from tvm_rank.runtime.legacy import legacy_column

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "ops"))
from oracle import Compiled
from rtp_vectors import NOT_HELD, VECTORS, difference

SOME = ("fg0398", "fg0406", "fg0412", "fg0418", "fg0426", "fg0429", "fg0476", "fg0477", "fg0486", "fg0488", "fg0501", "fg0513", "fg0520",
        "fg0527", "fg0537")  # fmt: skip
FEATURES = {
    "id": {"feature_type": "id_feature", "expression": "user:a", "invalid_values": ["2", "x"]},
    "hashed": {"feature_type": "id_feature", "expression": "user:b", "hash_bucket_size": 1000, "shared_embedding_name": "t"},
    "ordered": {"feature_type": "combo_feature", "expression": ["user:a", "item:b"], "needSort": True, "pruneLimit": [2, 2],
                "pruneRight": [True, False]},
    "common": {"feature_type": "overlap_feature", "query": "user:a", "title": "item:b", "method": "common_word", "separator": "#"},
    "different": {"feature_type": "overlap_feature", "query": "user:a", "title": "item:b", "method": "diff_word_divided"},
    "ratio": {"feature_type": "overlap_feature", "query": "user:a", "title": "item:b", "method": "title_common_ratio", "needDiscrete": False},
    "buckets": {"feature_type": "raw_feature", "expression": "item:n", "bucketize_boundaries": "-1, 0,2.5"},
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(FEATURES, "farm", dialect="rtp")


@pytest.mark.parametrize("name", SOME)
def test_a_recorded_result_of_the_older_engine_holds(name):
    (vector,) = [vector for vector in VECTORS if vector["id"] == name]
    assert difference(vector) == ""


def test_what_does_not_hold_is_listed_with_a_reason():
    assert set(NOT_HELD) < {vector["id"] for vector in VECTORS}
    assert not set(NOT_HELD) & set(SOME)
    document = (pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "features.md").read_text(encoding="utf-8")
    assert all(name in document for name in NOT_HELD)


WORDS = ["1", "2", "3", "x", "ab", "abc", "-5", ""]
COLUMNS = {
    "texts": st.lists(st.none() | st.lists(st.sampled_from(WORDS), max_size=5).map("\x1d".join), min_size=1, max_size=6).map(
        pa.array
    ),
    "lists": st.lists(st.none() | st.lists(st.sampled_from([*WORDS, None]), max_size=5), min_size=1, max_size=6),
    "numbers": st.lists(st.none() | st.sampled_from([1, 2, 3, -5, 127]), min_size=1, max_size=6),
    "floats": st.lists(
        st.none() | st.sampled_from([1.0, 2.5, 3.5, -0.2, 1e20, float("nan"), float("inf")]), min_size=1, max_size=6
    ),
}


@st.composite
def columns(draw) -> pa.Array:
    form = draw(st.sampled_from(sorted(COLUMNS)))
    values = draw(COLUMNS[form])
    if form == "texts":
        return values.cast(pa.string())
    kinds = {
        "lists": [pa.list_(pa.string())],
        "numbers": [pa.int8(), pa.int64(), pa.int32()],
        "floats": [pa.float64(), pa.float32()],
    }
    return pa.array(values, draw(st.sampled_from(kinds[form])))


@given(a=columns(), b=columns(), n=st.lists(st.none() | st.floats(-5, 5), min_size=1, max_size=1))
def test_generated_batches_have_the_texts_of_the_definition(compiled, a, b, n):
    rows = min(len(a), len(b))
    compiled.check({"a": a.slice(0, rows), "b": b.slice(0, rows), "n": pa.array(n, pa.float64())})


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64()])
def test_the_largest_integer_of_a_column_stands_for_nothing(kind):
    limit = np.iinfo(kind.to_pandas_dtype()).max
    for column in (pa.array([1, limit, None, 0], kind), pa.array([[1, limit], None, []], pa.list_(kind)).slice(0, 2)):
        found = legacy_column(column, as_text=True)
        assert found.equals(defined(column, as_text=True, invalid=()))
    assert legacy_column(pa.array([limit, 7], kind), as_text=True).to_pylist() == [None, 7]


def test_floats_are_rounded_half_to_even_where_they_are_texts():
    column = pa.array([0.5, 1.5, -0.2, 3.9, 1e19, float("nan"), None, float("-inf")])
    assert legacy_column(column, as_text=True).to_pylist() == ["0", "2", "-0", "4", "10000000000000000000", None, None, "-inf"]
    assert legacy_column(column.slice(0, 2), as_text=False).to_pylist() == [0.5, 1.5]


def test_a_file_of_the_older_style_has_ids_of_prefixed_texts_by_farm_hash():
    fg = {
        "features": [
            {"feature_name": "f", "feature_type": "id_feature", "expression": "user:f", "hash_bucket_size": 100, "group": "user"},
            {"feature_name": "l", "feature_type": "lookup_feature", "map": "user:m", "key": "item:k", "hash_bucket_size": 100},
        ],
        "multi_val_sep": "|",
        "reserves": ["clk"],
    }
    assert load_config(fg, dialect="rtp").hash_function == "farm"
    batch = {"f": ["a|b"], "m": ["k1:1|k2:2"], "k": ["k2"]}
    got = compile_features(fg, dialect="rtp")(batch)
    texts = compile_features(
        {**fg, "features": [{k: v for k, v in f.items() if k != "hash_bucket_size"} for f in fg["features"]]}, dialect="rtp"
    )(batch)
    assert (texts["f"].texts.to_pylist(), texts["l"].texts.to_pylist()) == ([["f_a", "f_b"]], [["l_k2_2"]])
    assert got["f"].lengths.tolist() == [2]
    assert got["l"].lengths.tolist() == [1]


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (
            {"feature_type": "lookup_feature", "key": "item:k", "map_keys": "user:a", "map_values": "user:b"},
            "map_keys: is not built",
        ),
        (
            {"feature_type": "match_feature", "user": "user:u", "category": "item:c", "item": "item:i", "matchType": "cos"},
            "matchType: 'cos'",
        ),
        (
            {"feature_type": "overlap_feature", "query": "user:q", "title": "item:t", "method": "hit_ornot"},
            "method: no source says what",
        ),
        (
            {"feature_type": "combo_feature", "expression": ["user:a", "item:b"], "pruneLimit": [1, 2]},
            "pruneLimit: wanted an integer of",
        ),
        (
            {"feature_type": "raw_feature", "expression": "user:a", "bucketize_boundaries": "1,x"},
            "bucketize_boundaries: wanted numbers",
        ),
        ({"feature_type": "id_feature", "expression": "user:a", "invalid_values": [1]}, "invalid_values: wanted a list of texts"),
    ],
)
def test_what_the_dialect_does_not_have_is_refused_by_name(feature, message):
    with pytest.raises(ConfigError) as error:
        load_config({"features": [{"feature_name": "f", **feature}]}, dialect="rtp")
    assert any(f"features[0].{message}" in problem for problem in error.value.problems), error.value


def test_another_dialect_is_refused_and_its_keys_belong_to_it_alone():
    feature = {"feature_name": "f", "feature_type": "id_feature", "expression": "user:a"}
    with pytest.raises(ConfigError, match="the argument dialect is 'rtp2'; allowed: pyfg, rtp"):
        load_config({"features": [feature]}, dialect="rtp2")
    with pytest.raises(ConfigError, match="'hash_bucket_size' is missing"):
        load_config({"features": [feature]})
    with pytest.raises(ConfigError, match="invalid_values: is a key of the legacy engine"):
        load_config({"features": [feature | {"hash_bucket_size": 5, "invalid_values": ["x"]}]})


def test_one_map_column_has_the_recorded_values_of_map_keys_and_map_values():
    """fg0490 to fg0492."""
    look = {"feature_type": "lookup_feature", "key": "item:k", "map": "user:m"}
    names = {"fg": {"needKey": False, "default_lookup_value": ""}, "names": {"needKey": False}, "number": {"needDiscrete": False}}
    program = compile_features(
        {"features": [{"feature_name": name, **look, **keys} for name, keys in names.items()]}, dialect="rtp"
    )
    values = pa.MapArray.from_arrays(pa.array([0, 3], pa.int32()), pa.array([5, 4, 3], pa.int32()), pa.array([1, 2, 3], pa.int32()))
    out = program({"k": pa.array([[1], [3], [5], [], [5, 0, 4]], pa.list_(pa.int64())), "m": values})
    assert out["fg"].texts.to_pylist()[:3] == [["fg_"], ["fg_3"], ["fg_1"]]
    assert out["names"].texts.to_pylist()[3:] == [[], ["names_1", "names_2"]]
    assert out["number"].dense[2:].tolist() == [[1.0], [0.0], [3.0]]
