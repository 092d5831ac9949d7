"""EmbeddingBag as PyTorch's exporters write it: loops over bags that become pooled lookups, and loops that are none."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pytest
from frontend_models import parsed, weight

import tvm_rank
from tvm_rank.config.load import load_config
from tvm_rank.errors import ModelError
from tvm_rank.frontend.binding import bind_inputs
from tvm_rank.frontend.dense_model import ModelLookup
from tvm_rank.frontend.onnx_model import import_model
from tvm_rank.ops.dag import references
from tvm_rank.samples.model_inputs import model_inputs

ROWS, DIM, ITEMS = 20, 5, 30

# torch.onnx.export(dynamo=False): slices of the ids, each gathered and reduced
SLICES = """(int64[nnz] tags, int64[N] starts{more}) => (float[N, 5] score) {{
    size = Shape(tags) first = Gather(size, zero) end = Unsqueeze(first, at0) bounds = Concat<axis = 0>(starts, end)
    ends = Slice(bounds, at1, far, at0, at1) shape = Shape(ends) bags = Gather(shape, zero)
    y = Loop(bags, true) <body = body (int64 i, bool c) => (bool again, float[d] row) {{
        b = Gather(bounds, i) e = Gather(ends, i) b1 = Unsqueeze(b, at0) e1 = Unsqueeze(e, at0) ids = Slice(tags, b1, e1, at0)
        rows = Gather(table, ids) {weights} row = {reduce}<keepdims = 0>(used, at0) again = Identity(c) }}>
    score = Tanh(y) }}"""
# torch.onnx.export(dynamo=True): all rows gathered, slices of them collected in a sequence
SEQUENCE = """(int64[nnz] tags, int64[N] starts, float[nnz] shares) => (float[N, 5] score) {
    flat = Reshape(tags, minus) all = Gather(table, flat) column = Unsqueeze(shares, at1) rows = Mul(all, column)
    size = Shape(flat) bags = Size(starts) bounds = Concat<axis = 0>(starts, size) none = SequenceEmpty() go = Less(zero, bags)
    made, last = Loop("", go, none, zero) <body = body (int64 step, bool c, seq(float[d, 5]) before, int64 i)
                                         => (bool again, seq(float[d, 5]) after, int64 next) {
        at = Reshape(i, minus) behind = Add(at, at1) start = Slice(bounds, at, behind) then = Add(at, at2) end = Slice(bounds, behind, then)
        is_empty = Equal(start, end)
        row = If(is_empty) <then_branch = empty () => (float[1, 5] zeros_) { zeros_ = Identity(zeros) },
                            else_branch = full () => (float[1, 5] sum) { part = Slice(rows, start, end) sum = ReduceSum(part, at0) }>
        after = SequenceInsert(before, row) next = Add(i, one) again = Less(next, bags) }>
    y = ConcatFromSequence<axis = 0>(made) got = Cast<to = 1>(y) score = Tanh(got) }"""
WEIGHTS = {
    "table": weight(ROWS, DIM),
    "zeros": np.zeros((1, DIM), np.float32),
    "true": np.array(True),
    "zero": np.array(0),
    "one": np.array(1),
    "at0": np.array([0]),
    "at1": np.array([1]),
    "at2": np.array([2]),
    "far": np.array([2**63 - 1]),
    "minus": np.array([-1]),
}
TAGS = {"feature_name": "tags", "feature_type": "id_feature", "expression": "item:tags", "num_buckets": ROWS, "separator": ";"}
ROWS_OF_TAGS = [";".join(str((7 * k + j) % ROWS) for j in range(k % 6)) for k in range(1, ITEMS + 1)]
FORMS = {
    "sum of slices": (SLICES.format(more="", weights="used = Identity(rows)", reduce="ReduceSum"), "sum", False),
    "mean of slices": (SLICES.format(more="", weights="used = Identity(rows)", reduce="ReduceMean"), "mean", False),
    "weighted slices": (
        SLICES.format(
            more=", float[nnz] shares",
            weights="w = Slice(shares, b1, e1, at0) w1 = Unsqueeze(w, at1) used = Mul(rows, w1)",
            reduce="ReduceSum",
        ),
        "sum",
        True,
    ),
    "weighted sequence": (SEQUENCE, "sum", True),
}


def model(text: str) -> onnx.ModelProto:
    return parsed(text, WEIGHTS, opset=18)


@pytest.mark.parametrize("form", FORMS)
def test_a_loop_over_bags_is_a_pooled_lookup(form):
    text, combiner, is_weighted = FORMS[form]
    dense = import_model(model(text))
    (entry,) = dense.inputs
    assert entry.lookup == ModelLookup(ids="tags", table="table", combiner=combiner)
    assert entry.shape == (DIM,)
    assert [(e.name, e.rows) for e in dense.given] == [
        ("tags", ROWS),
        ("starts", None),
        *([("shares", None)] if is_weighted else []),
    ]


@pytest.mark.parametrize("form", ["mean of slices", "weighted sequence"])
def test_bags_of_a_feature_score_as_onnxruntime_scores_the_loop(form, tmp_path):
    text, _, is_weighted = FORMS[form]
    feature = TAGS | {"weighted": is_weighted} | ({} if is_weighted else {"default_value": "4"})
    rows = [";".join(f"{tag}:{1 + k / 9:.2f}" for tag in row.split(";") if row) for k, row in enumerate(ROWS_OF_TAGS)]
    items = pa.table({"tags": rows if is_weighted else ROWS_OF_TAGS})
    tvm_rank.compile(features={"features": [feature]}, model=model(text)).save(tmp_path / "artifact")
    assert (report := tvm_rank.check(tmp_path / "artifact", rounds=1)).ok, report
    found = tvm_rank.load(tmp_path / "artifact").rank(items=items)["score"]

    config = load_config({"features": [feature]})
    outputs = references(config, {"tags": items["tags"].combine_chunks()}, ITEMS)
    inputs = model_inputs(bind_inputs(import_model(model(text)).given, config, "m"), outputs, ITEMS, dict().__getitem__)
    session = onnxruntime.InferenceSession(model(text).SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, inputs)
    assert (outputs["tags"].lengths == 0).any() == is_weighted
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    "used",
    [
        "e0 = Equal(ids, one) e1_ = Not(e0) e2 = Cast<to = 1>(e1_) e3 = Unsqueeze(e2, at1) used = Mul(rows, e3)",
        "used = Neg(rows)",
    ],
    ids=["a padding id", "another function"],
)
def test_a_loop_that_computes_something_else_is_refused(used):
    with pytest.raises(ModelError, match="cannot be compiled"):
        import_model(model(SLICES.format(more="", weights=used, reduce="ReduceSum")))


def test_weights_of_feature_and_model_must_agree():
    with pytest.raises(
        ModelError, match=r"input 'tags' is a bag of ids, but 'tags'.* is not weighted, other than the model has it"
    ):
        tvm_rank.compile(features={"features": [TAGS]}, model=model(SEQUENCE))


def test_where_the_model_has_no_number_for_an_empty_bag_the_feature_has_a_default():
    text = FORMS["mean of slices"][0]
    with pytest.raises(
        ModelError, match=r"'tags'.* may have no id in a row, for which the model has no number; give it a default_value"
    ):
        tvm_rank.compile(features={"features": [TAGS]}, model=model(text))


def test_bags_of_no_feature_are_told():
    with pytest.raises(ModelError, match="input 'tags' is neither a feature nor a group"):
        tvm_rank.compile(features={"features": [TAGS | {"feature_name": "other"}]}, model=model(SEQUENCE))
