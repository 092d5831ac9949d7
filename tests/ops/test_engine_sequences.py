"""Sequences, and features of features, inside of a ranking model: what its inputs get, for one request and for several."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from identity_model import identity_model

import tvm_rank
from tvm_rank.config.load import load_config
from tvm_rank.ops.dag import references

LENGTH, DIM, ITEMS = 4, 3, 70
ID = {"feature_type": "id_feature", "separator": "|", "hash_bucket_size": 50, "embedding_dim": DIM, "embedding_name": "t"}
FG = {
    "features": [
        {
            "sequence_name": "click",
            "sequence_length": LENGTH,
            "features": [
                ID | {"feature_name": "item", "expression": "user:item", "value_dim": 1},
                ID | {"feature_name": "tags", "expression": "user:tags", "combiner": "sqrtn"},
                {"feature_name": "price", "feature_type": "raw_feature", "expression": "user:price"},
            ],
        },
        ID | {"feature_name": "seen", "feature_type": "sequence_id_feature", "expression": "item:seen", "sequence_length": LENGTH},
        {"feature_name": "age", "feature_type": "raw_feature", "expression": "user:age", "stub_type": True},
        {"feature_name": "word", "feature_type": "id_feature", "expression": "item:word", "stub_type": True, "separator": "|"},
        ID | {"feature_name": "mixed", "feature_type": "combo_feature", "expression": ["feature:word", "user:age", "const:c"]},
        ID | {"feature_name": "both", "feature_type": "combo_feature", "expression": ["feature:click__item", "item:word"]},
        {"feature_name": "older", "feature_type": "raw_feature", "expression": "feature:age", "normalizer": "method=minmax,min=0,max=2"},
    ]
}  # fmt: skip
INPUTS = {
    "click": (LENGTH, 2 * DIM + 1), "click__item": (LENGTH,), "click__mask": (LENGTH,), "click__length": (),
    "click__tags": (DIM,), "seen": (LENGTH, DIM), "seen__mask": (LENGTH,), "mixed": (DIM,), "both": (DIM,), "older": (1,),
}  # fmt: skip
TABLE = np.random.default_rng(0).normal(size=(50, DIM)).astype(np.float32)
USER = pa.table(
    {
        "click__item": ["a;b;c;d;e", "", "x|y;z"],
        "click__tags": [[["p", "q"], ["r"]], None, [[], ["s"], ["t", "u", "v"]]],
        "click__price": [[1.0, 2.0], [], [3.5]],
        "age": pa.array([1.5, None, 3.0], pa.float32()),
    }
)
# the sequences of a group have one length in the table of a request, which here are different ones
ITEM = pa.table(
    {"seen": [";".join("abcdefgh"[: k % 6]) for k in range(ITEMS)], "word": [["k|m", "n", ""][k % 3] for k in range(ITEMS)]}
)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequences")
    model = identity_model(INPUTS, ids=("click__item", "click__length", "click__mask"))
    made = tvm_rank.compile(features=FG, model=model, tables={"t": TABLE})
    made.save(folder / "artifact")
    return made, folder / "artifact"


@pytest.fixture(scope="module")
def engine(artifact):
    return tvm_rank.load(artifact[1])


def test_generated_samples_score_as_the_references_say(artifact):
    report = tvm_rank.check(artifact[1], rounds=1)
    assert report.ok, report


def wanted(index: np.ndarray) -> dict[str, np.ndarray]:
    """The inputs by the references, for which the user's rows are repeated."""
    columns = {n: USER[n].combine_chunks().take(pa.array(index)) for n in USER.column_names}
    columns |= {n: ITEM[n].combine_chunks() for n in ITEM.column_names}
    outputs = references(load_config(FG), columns, len(index))

    def padded(name: str, values: np.ndarray) -> np.ndarray:
        lengths = outputs[name].lengths
        rows = np.zeros((len(lengths), LENGTH, *values.shape[1:]), values.dtype)
        for row, (end, count) in enumerate(zip(np.cumsum(lengths), lengths, strict=True)):
            rows[row, :count] = values[end - count : end]
        return rows

    def pooled(name: str, counts: np.ndarray, combiner: str) -> np.ndarray:
        ends, values = np.cumsum(counts), outputs[name].values
        sums = [TABLE[values[e - c : e]].astype(np.float64).sum(axis=0) for e, c in zip(ends, counts, strict=True)]
        divisors = [max(1.0, np.sqrt(c) if combiner == "sqrtn" else c) for c in counts]
        return np.array([s / d for s, d in zip(sums, divisors, strict=True)], np.float32).reshape(len(counts), DIM)

    def of_rows(name: str) -> np.ndarray:
        out = outputs[name]
        if out.key_lengths is None:
            return out.lengths
        ends = np.cumsum(out.lengths)
        return np.array([out.key_lengths[e - c : e].sum() for e, c in zip(ends, out.lengths, strict=True)])

    item = outputs["click__item"]
    parts = [
        padded("click__item", TABLE[item.values]),
        padded("click__tags", pooled("click__tags", outputs["click__tags"].key_lengths, "sqrtn")),
        padded("click__price", outputs["click__price"].dense),
    ]
    places = np.arange(LENGTH)
    return {
        "click": np.concatenate(parts, axis=2),
        "click__item": padded("click__item", item.values),
        "click__mask": (places < item.lengths[:, None]).astype(np.int64),
        "click__length": item.lengths.astype(np.int64),
        "click__tags": pooled("click__tags", of_rows("click__tags"), "sqrtn"),
        "seen": padded("seen", pooled("seen", outputs["seen"].key_lengths, "mean")),
        "seen__mask": (places < outputs["seen"].lengths[:, None]).astype(np.float32),
        "mixed": pooled("mixed", of_rows("mixed"), "mean"),
        "both": pooled("both", of_rows("both"), "mean"),
        "older": outputs["older"].dense,
    }


@pytest.mark.parametrize("requests", [1, 3])
def test_the_model_gets_the_padded_elements_of_each_row(engine, requests):
    index = np.arange(ITEMS) * 7 % requests
    user = USER.slice(0, requests)
    scores = engine.rank(user=user, items=ITEM, item_request=index if requests > 1 else None)
    for name, values in wanted(index).items():
        got = scores[f"{name}_out"]
        assert got.dtype == values.dtype, name
        np.testing.assert_allclose(got, values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_what_depends_on_the_request_alone_is_computed_in_the_kernel_over_its_rows(artifact):
    """Elements, ids, masks and pools of the request's sequences, and features of its features; items compute what reads their fields."""
    sinks = {
        kernel: [
            name
            for group in artifact[0].manifest.groups
            if group["kernel"] == kernel
            for name in re.findall(r"(\w+)\(", group["sink"])
        ]
        for kernel in ("request_features", "item_features")
    }
    assert set(sinks["request_features"]) == {
        "Materialize", "PaddedEmbeddings", "PaddedNumbers", "PaddedIds", "ElementCounts", "Pool", "Numbers"
    }  # fmt: skip
    # of the items: seen, its mask, and mixed and both with the texts and ids that they read
    assert sorted(sinks["item_features"]) == sorted(["PaddedEmbeddings", "ElementCounts", "Pool", "Pool", *["Materialize"] * 3])


def test_both_kernels_run_their_blocks_of_rows_in_parallel_with_the_same_results(artifact):
    made, folder = artifact
    functions = made.stages["lower"].split("    def ")
    for kernel in ("request_features", "item_features"):
        (text,) = [function for function in functions if function.startswith(f"{kernel}(")]
        assert text.count("T.parallel(") == 1
    index = np.arange(ITEMS) % 3
    one, two = (tvm_rank.load(folder, threads=threads).rank(user=USER, items=ITEM, item_request=index) for threads in (1, 2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
