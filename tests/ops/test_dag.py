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


def test_numbers_of_a_feature_have_no_text_form():
    with pytest.raises(
        RankError, match=r"id_feature reads texts, and feature:n \(features\[0\]\) gives numbers; give that one 'bound"
    ):
        Compiled(
            {
                "n": {"feature_type": "raw_feature", "expression": "user:n"},
                "i": TEXT | {"expression": "feature:n", "num_buckets": 3},
            }
        )


def test_long_texts_grow_the_memory_of_a_block(compiled):
    long = b"|".join(b"%d" % k * 50 for k in range(2000))
    compiled.check({"a": text(long, b"s", long), "b": text(b"1", b"2", b"1"), "c": pa.array([1, 2, 3], pa.int32())})
