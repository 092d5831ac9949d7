"""Sequences in compiled kernels: groups, forms of every column, DAG edges, against the references over elements."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cases import columns as arrow
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled

from tvm_rank.errors import InputError

ID = {"feature_type": "id_feature", "separator": "|"}
KEPT = 3
MEMBERS = [
    ID | {"feature_name": "hashed", "expression": "user:text", "hash_bucket_size": 1000},
    ID | {"feature_name": "one", "expression": "user:text", "hash_bucket_size": 1000, "value_dim": 1, "default_value": "xyz"},
    ID | {"feature_name": "number", "expression": "item:count", "num_buckets": 50},
    {"feature_name": "pair", "feature_type": "raw_feature", "expression": "item:pair", "value_dim": 2, "default_value": "7"},
    {"feature_name": "bucket", "feature_type": "raw_feature", "expression": "item:price", "boundaries": [0, 1, 10]},
    {"feature_name": "crossed", "feature_type": "combo_feature", "expression": ["user:who", "item:text"], "hash_bucket_size": 1000,
     "separator": "|", "need_prefix": True},
    {"feature_name": "likeness", "feature_type": "overlap_feature", "query": "item:text", "title": "user:more",
     "method": "query_common_ratio", "separator": "|", "sequence_fields": ["more"]},
    ID | {"feature_name": "stub", "expression": "item:text", "stub_type": True, "value_dim": 1},
    ID | {"feature_name": "texts", "expression": "item:text", "stub_type": True},
    ID | {"feature_name": "again", "expression": "feature:texts", "hash_bucket_size": 77},
    {"feature_name": "split", "feature_type": "id_feature", "expression": "feature:stub", "hash_bucket_size": 77, "separator": "a"},
]  # fmt: skip
FG = {
    "features": [
        {"sequence_name": "s", "sequence_length": KEPT, "sequence_delim": ";", "features": MEMBERS},
        ID | {"feature_name": "flat", "expression": "feature:s__texts", "hash_bucket_size": 99},
        ID | {"feature_name": "alone", "feature_type": "sequence_id_feature", "expression": "user:alone", "hash_bucket_size": 9},
        {"feature_name": "numbers", "feature_type": "raw_feature", "is_sequence": True, "expression": "item:s__price"},
    ]
}
TEXTS = (
    pa.string(),
    pa.list_(pa.string()),
    pa.list_(pa.list_(pa.string())),
    pa.list_(pa.int64()),
    pa.int32(),
    pa.list_(pa.float64()),
)
INTEGERS = (pa.string(), pa.int64(), pa.list_(pa.int32()), pa.list_(pa.list_(pa.int64())))
PRICES = (pa.float32(), pa.list_(pa.float64()), pa.list_(pa.int32()), pa.string())


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled.of(FG)


def text(*values: bytes | None) -> pa.Array:
    return arrow.column(list(values), pa.string())


GOOD = {
    "s__text": text(b"a|b;c"), "s__count": text(b"1;2"), "s__pair": text(b"1\x1d2;3\x1d4"), "s__price": pa.array([[1.5, 2.0]]),
    "who": text(b"u|v"), "s__more": text(b"a;c|d"), "alone": text(b"x;y"),
}  # fmt: skip


def test_elements_have_ids_lengths_and_key_lengths(compiled):
    columns = GOOD | {"s__text": text(b"a|b;c", None, b";;d;e", b"f"), "s__more": text(b"a")}
    compiled.check(columns)
    out = compiled.program(columns)
    assert out["s__hashed"].lengths.tolist() == [2, 1, 3, 1], "an empty sequence is one default, and three elements are kept"
    assert out["s__hashed"].key_lengths.tolist() == [2, 1, 1, 1, 1, 1, 1]
    assert out["s__pair"].dense.tolist() == [[1, 2], [3, 4]] * 4
    assert out["s__pair"].lengths.tolist() == [2] * 4
    assert out["flat"].lengths.tolist() == [3, 1, 3, 1], "a feature that is no sequence reads the values of all elements"
    assert "s__stub" not in out


def test_lists_of_lists_are_what_the_same_texts_are(compiled):
    nested = arrow.column(
        [[[b"a", b"b"], [b"c"]], None, [None, [], [b"d"], [b"e"]], [[b"f", None]]], pa.list_(pa.list_(pa.string()))
    )
    columns = GOOD | {"s__text": nested, "s__more": text(b"a")}
    compiled.check(columns)
    same = compiled.program(GOOD | {"s__text": text(b"a|b;c", None, b";;d;e", b"f"), "s__more": text(b"a")})
    assert compiled.program(columns)["s__hashed"].values.tolist() == same["s__hashed"].values.tolist()


def test_sequences_of_different_lengths_are_refused_with_the_row(compiled):
    columns = GOOD | {"s__text": text(b"a", b"a;b;c"), "s__more": text(b"a;b", b"a;b")}
    with pytest.raises(InputError, match="feature 's__likeness', row 1: wants inputs with the same number of elements"):
        compiled.program(columns)
    with pytest.raises(InputError, match="feature 's__likeness', row 1"):
        compiled.reference(compiled.features["s__likeness"], columns, 2)


def test_a_refused_element_is_told_by_its_row(compiled):
    with pytest.raises(InputError, match="feature 's__number', row 1: num_buckets wants integers"):
        compiled.program(GOOD | {"s__count": text(b"1;2", b"3;x")})


def test_a_damaged_list_of_lists_is_refused():
    compiled = Compiled.of({"features": [ID | {"feature_name": "f", "feature_type": "sequence_id_feature", "expression": "user:a",
                                               "hash_bucket_size": 9}]})  # fmt: skip
    inner = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["a", "b"]))
    for offsets in ([0, 5, 2], [0, -1, 2]):  # pyarrow itself sees wrong ends
        bad = pa.py_buffer(np.array(offsets, np.int32))
        outer = pa.Array.from_buffers(pa.list_(inner.type), 2, [None, bad], children=[inner])
        wrong = pa.Array.from_buffers(inner.type, 2, [None, bad], children=[inner.values])
        nested = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), wrong)
        for column in (outer, nested):
            with pytest.raises(InputError, match="damaged"):
                compiled.program({"a": column})


def test_an_endless_sequence_is_cut_and_takes_no_more_than_its_text(compiled):
    long = b";".join(b"%d" % k for k in range(300_000))
    compiled.check(GOOD | {"s__text": text(long), "s__more": text(b"q"), "s__count": text(long)})
    out = compiled.program(GOOD | {"alone": text(long)})
    assert out["alone"].lengths.tolist() == [300_000]


@st.composite
def batches(draw):
    rows = draw(st.sampled_from((0, 1, 3, 63, 65, 130)))
    parts = st.sampled_from([b"", b"a", b"b", b"a|b", b"|", b"-7", b"60", "价".encode()])
    sequences = st.none() | st.lists(parts, max_size=5).map(b";".join)
    count = draw(st.integers(1, 4))

    def of_integers(kind):
        if kind == pa.string():
            return st.none() | st.lists(st.sampled_from([b"1", b"-7", b"60", b"1|2", b""]), max_size=4).map(b";".join)
        if pa.types.is_list(kind) and pa.types.is_list(kind.value_type):
            return st.none() | st.lists(st.none() | st.lists(st.none() | st.integers(-5, 70), max_size=3), max_size=4)
        return arrow.rows_of(kind)

    def of_texts(kind):
        if pa.types.is_list(kind) and pa.types.is_list(kind.value_type):
            return st.none() | st.lists(st.none() | st.lists(st.none() | parts, max_size=3), max_size=4)
        return sequences if kind == pa.string() else arrow.rows_of(kind, lambda k: parts if k == pa.string() else arrow.numbers(k))

    def prices(kind):
        if kind == pa.string():
            return st.none() | st.lists(st.sampled_from([b"1", b"x", b"-2.5", b""]), max_size=4).map(b";".join)
        return arrow.rows_of(kind)

    pairs = st.lists(st.sampled_from([b"1\x1d2", b"", b"-1\x1dx"]), min_size=count, max_size=count).map(b";".join)
    return {
        "s__text": draw(arrow.columns(rows, TEXTS, row_strategy=of_texts)),
        "s__count": draw(arrow.columns(rows, INTEGERS, row_strategy=of_integers)),
        "s__pair": draw(arrow.columns(rows, (pa.string(),), row_strategy=lambda _kind: st.none() | pairs)),
        "s__price": draw(arrow.columns(rows, PRICES, row_strategy=prices)),
        "who": draw(arrow.columns(rows, (pa.string(), pa.list_(pa.string())))),
        "s__more": text(draw(st.sampled_from([b"a", b"", b"b|a"]))),
        "alone": draw(arrow.columns(rows, TEXTS, row_strategy=of_texts)),
    }  # fmt: skip


@settings(max_examples=40)
@given(batches())
def test_any_columns_give_what_the_references_give(compiled, columns):
    if compiled.refuses(columns):
        with pytest.raises(InputError):
            compiled.program(columns)
    else:
        compiled.check(columns)
