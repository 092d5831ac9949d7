"""Features that read other features: in compiled kernels, against the references one after the other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cases import columns as arrow
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled

from tvm_rank.errors import RankError

STUB = {"stub_type": True}
TEXT = {"feature_type": "id_feature", "separator": "|"}
FEATURES = {
    "texts": TEXT | STUB | {"expression": "user:a", "need_prefix": True, "default_value": "d"},
    "one": TEXT | STUB | {"expression": "item:b", "value_dim": 1},
    "pair": {"feature_type": "raw_feature", "expression": "feature:one", "separator": ",", "value_dim": 1, "default_value": "7"},
    "number": {"feature_type": "raw_feature", "expression": "item:c", **STUB, "normalizer": "method=zscore,mean=1,standard_deviation=2"},
    "bucket": {"feature_type": "raw_feature", "expression": "feature:number", "boundaries": [-1, 0, 1]},
    "crossed": {"feature_type": "combo_feature", "expression": ["feature:texts", "item:b", "const:x"], **STUB},
    "hashed": TEXT | {"expression": "feature:crossed", "hash_bucket_size": 10**6, "separator": "_"},
    "ids": TEXT | {"expression": "user:a", "hash_bucket_size": 50},
    "again": TEXT | {"expression": "feature:ids", "num_buckets": 40},
    "likeness": {"feature_type": "overlap_feature", "query": "feature:texts", "title": "feature:one", "method": "query_common_ratio"},
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(FEATURES)


def text(*values: bytes | None) -> pa.Array:
    return arrow.column(list(values), pa.string())


def test_texts_ids_and_numbers_of_a_feature_are_the_column_of_another(compiled):
    columns = {"a": text(b"p|q", None, b"q"), "b": text(b"1", b"3|4", None), "c": pa.array([0.5, 1.0, None], pa.float32())}
    compiled.check(columns)
    out = compiled.program(columns)
    assert list(out) == ["pair", "bucket", "hashed", "ids", "again", "likeness"], "stubs are not given back"
    assert out["pair"].dense.tolist() == [[1.0], [3.0], [7.0]]
    assert out["hashed"].lengths.tolist() == [2, 1, 0]


def test_what_reads_only_one_row_has_one_row(compiled):
    columns = {"a": text(b"p|q|r"), "b": text(*(b"%d" % k for k in range(200))), "c": pa.array(np.arange(200.0))}
    compiled.check(columns)


@st.composite
def batches(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    numeric = st.sampled_from([b"1", b"2.5", b"x", b"|3", b""])
    return {
        "a": draw(arrow.columns(rows, (pa.string(), pa.list_(pa.string())))),
        "b": draw(arrow.columns(rows, (pa.string(),), row_strategy=lambda _kind: st.none() | numeric)),
        "c": draw(arrow.columns(rows, (pa.float32(), pa.int64()))),
    }


@settings(max_examples=25)
@given(batches())
def test_any_columns_give_what_the_references_give(compiled, columns):
    compiled.check(columns)


PRINTED = {
    "n": {"feature_type": "raw_feature", "expression": "item:n", **STUB, "default_value": "2.50"},
    "pair": {"feature_type": "raw_feature", "expression": "user:v", "value_dim": 2, "separator": ",", **STUB},
    "id": TEXT | {"expression": "feature:n", "hash_bucket_size": 10**9},
    "words": TEXT | {"expression": "feature:pair", "vocab_list": ["0.1", "1e-7", "7", "nan"], "default_bucketize_value": 9},
    "history": {"feature_type": "sequence_raw_feature", "expression": "user:h", "sequence_delim": ";", **STUB},
    "elements": {"feature_type": "sequence_id_feature", "expression": "feature:history", "hash_bucket_size": 10**9},
    "digits": {"feature_type": "regex_replace_feature", "expression": "feature:n", "regex_pattern": "[^0-9]", "num_buckets": 10**9},
}  # fmt: skip


@pytest.fixture(scope="module")
def printed() -> Compiled:
    return Compiled(PRINTED)


def test_numbers_of_a_feature_are_read_as_their_shortest_texts(printed):
    columns = {
        "n": pa.array([0.1, None, 16777216.0, -0.0, 1e-7], pa.float32()),
        "v": text(b"0.1,7", b"1e-7,nan", None, b"7.0,1e10", b"1,2"),
        "h": text(b"1;2.5;x", None, b"0.30", b"", b"5e-8;6"),
    }
    printed.check(columns)
    out = printed.program(columns)
    assert out["words"].values.tolist() == [0, 2, 1, 3, 9, 9, 2, 9, 9, 9]
    assert out["digits"].values.tolist() == [1, 25, 16777216, 0, 17]


NUMBER = st.floats(width=32) | st.sampled_from([0.5, 1.5, 1e10, 1e-6, 123456.0])


@settings(max_examples=10)
@given(st.data())
def test_texts_of_any_numbers_are_those_of_the_reference(printed, data):
    rows = data.draw(st.sampled_from(arrow.SIZES))
    numbers = data.draw(st.lists(st.none() | NUMBER, min_size=rows, max_size=rows))
    pairs = data.draw(st.lists(st.tuples(NUMBER, NUMBER).map(list) | st.none(), min_size=rows, max_size=rows))
    history = data.draw(st.lists(st.lists(NUMBER, max_size=3), min_size=rows, max_size=rows))
    floats = pa.list_(pa.float32())
    printed.check({"n": pa.array(numbers, pa.float32()), "v": pa.array(pairs, floats), "h": pa.array(history, floats)})


def test_numbers_of_a_feature_are_no_map():
    look = {"feature_type": "lookup_feature", "map": "feature:n", "key": "user:k", "needDiscrete": True, "needKey": True}
    with pytest.raises(RankError, match=r"lookup_feature reads `key:value`, and feature:n \(features\[0\]\) gives numbers"):
        Compiled({"n": {"feature_type": "raw_feature", "expression": "user:n"}, "look": look | {"hash_bucket_size": 3}})


def test_long_texts_grow_the_memory_of_a_block(compiled):
    long = b"|".join(b"%d" % k * 50 for k in range(2000))
    compiled.check({"a": text(long, b"s", long), "b": text(b"1", b"2", b"1"), "c": pa.array([1, 2, 3], pa.int32())})
