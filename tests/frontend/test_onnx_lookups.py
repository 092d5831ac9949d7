"""Tables inside of a model: what becomes a lookup, and the scores of ONNX Runtime with the model as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pytest
from frontend_models import operators, parsed, weight

import tvm_rank
from tvm_rank.config.load import load_config
from tvm_rank.errors import ModelError, RankError
from tvm_rank.frontend.binding import bind_inputs
from tvm_rank.frontend.dense_model import ModelLookup
from tvm_rank.frontend.onnx_model import import_model
from tvm_rank.ops.dag import references
from tvm_rank.samples.model_inputs import model_inputs

ROWS, DIM, LENGTH, ITEMS = 20, 5, 4, 40
GRAPH = """(int64[N] city, int64[N, 1] brand, int64[N, 4] clicks) => (float[N, 5] score, float[N, 4, 5] all, float[N] linear) {
    u = Gather(users, city) flat = Reshape(brand, minus) i = Gather(items, flat) both = Mul(u, i)
    c = Gather(items, clicks) mean = ReduceMean<axes = [1], keepdims = 0>(c) sum = Add(both, mean)
    short = Cast<to = 6>(brand) e = Gather(items, short) total = ReduceSum(e, one) end = Reshape(total, wide) score = Sub(sum, end)
    shown = Gather(items, clicks) all = Tanh(shown)
    w = Gather(weights, city) v = Gather(weights, clicks) best = ReduceMax<axes = [1], keepdims = 0>(v) linear = Add(w, best)
}"""
WEIGHTS = {
    "users": weight(ROWS, DIM),
    "items": weight(ROWS + 3, DIM),
    "weights": weight(ROWS),
    "minus": np.array([-1]),
    "one": np.array([1]),
    "wide": np.array([0, DIM]),
}
IDS = {"num_buckets": ROWS, "default_value": "3"}
FEATURES = [
    IDS | {"feature_name": "city", "feature_type": "id_feature", "expression": "user:city"},
    IDS | {"feature_name": "brand", "feature_type": "id_feature", "expression": "item:brand"},
    IDS | {"feature_name": "clicks", "feature_type": "sequence_id_feature", "expression": "user:clicks", "sequence_length": LENGTH,
           "value_dim": 1},
]  # fmt: skip
USER = pa.table({"city": ["7", None], "clicks": ["4;5;6", "1;2;3;9;11;12"]})
BRANDS = pa.table({"brand": [None if k % 9 == 4 else [str(k % ROWS), str(k % 7)] if k % 5 else ["2"] for k in range(ITEMS)]})
OF = np.arange(ITEMS, dtype=np.int32) % 2


def model(graph: str = GRAPH, **more: Any) -> onnx.ModelProto:
    return parsed(graph, WEIGHTS | more)


def wanted(proto: onnx.ModelProto, features: list[dict[str, Any]] = FEATURES) -> dict[str, np.ndarray]:
    """The scores of ONNX Runtime, fed with the ids of the references."""
    config = load_config({"features": features})
    columns = {name: USER[name].combine_chunks().take(pa.array(OF)) for name in USER.column_names}
    columns |= {name: BRANDS[name].combine_chunks() for name in BRANDS.column_names}
    bindings = bind_inputs(import_model(proto).given, config, "m")
    inputs = model_inputs(bindings, references(config, columns, ITEMS), ITEMS, dict().__getitem__)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.fixture(scope="module", params=["fp32", "int8"])
def artifact(request, tmp_path_factory):
    made = tvm_rank.compile(features={"features": FEATURES}, model=model(), table_precision=request.param)
    made.save(folder := tmp_path_factory.mktemp("lookups") / "artifact")
    return request.param, made, folder


def test_scores_are_those_of_onnxruntime(artifact):
    precision, _, folder = artifact
    scores = tvm_rank.load(folder).rank(user=USER, items=BRANDS, item_request=OF)
    for name, found in wanted(model()).items():
        np.testing.assert_allclose(scores[name], found, rtol=0, atol=1e-5 if precision == "fp32" else 0.1)


def test_samples_are_scored_by_the_file_as_it_was(artifact):
    report = tvm_rank.check(artifact[2], rounds=1)
    assert report.ok, report


def test_ids_and_tables_are_no_part_of_the_dense_model(artifact):
    """id -> row -> pool -> write is one kernel on each side: no id is written, no table is a constant, no Gather is left."""
    text = artifact[1].stages["graph"]
    assert "first_id" not in text
    assert "sequence_ids" not in text
    assert text.count("R.take") + text.count('"relax.take"') <= 5  # of request rows to items
    assert {kernel["name"] for kernel in artifact[1].manifest.kernels} >= {"request_features", "item_features"}
    tables = [name for stack in artifact[1].manifest.stacks for name in stack.tables]
    assert sorted(tables) == ["items", "users", "weights"]


def test_each_form_of_lookup_is_an_input():
    lookups = {entry.name: (entry.lookup, entry.shape) for entry in import_model(model()).inputs if entry.lookup}
    assert lookups == {
        "city_in_users": (ModelLookup(ids="city", table="users", combiner="first"), (DIM,)),
        "brand_in_items": (ModelLookup(ids="brand", table="items", combiner="first"), (DIM,)),
        "clicks_in_items": (ModelLookup(ids="clicks", table="items", combiner="mean", filled=LENGTH), (DIM,)),
        "clicks_in_items_": (ModelLookup(ids="clicks", table="items", combiner="first"), (LENGTH, DIM)),
        "city_in_weights": (ModelLookup(ids="city", table="weights", combiner="first"), (1,)),
        "clicks_in_weights": (ModelLookup(ids="clicks", table="weights", combiner="max", filled=LENGTH), (1,)),
    }


@pytest.mark.parametrize(
    "graph",
    [
        "(int64[N] x) => (float[N, 5] y) { i = Add(x, one) y = Gather(items, i) }",
        "(int64[N] x) => (float[N, 5] y) { t = Tanh(items) y = Gather(t, x) }",
        "(int64[N, 4] x) => (float[N, 4, 20] y) { t = Transpose(users) g = Gather<axis = 1>(t, x) y = Transpose<perm = [1, 2, 0]>(g) "
        "z = Identity(g) }".replace("float[N, 4, 20]", "float[N, 4, 5]"),
        "(int64[N, 4] x) => (float[N, 20] y) { f = Reshape(x, minus) g = Gather(items, f) y = Reshape(g, apart) }",
    ],
    ids=["computed ids", "a computed table", "columns", "ids of all rows in one"],
)  # fmt: skip
def test_what_is_no_lookup_stays_a_gather(graph):
    dense = import_model(model(graph, apart=np.array([-1, 20])))
    assert [entry.lookup for entry in dense.inputs] == [None]
    assert "take" in operators(dense)


WRAPPED = """(int64[N, 4] x) => (float[N, 4, 5] y) {
    more = Add(x, rows) short = Cast<to = 6>(x) is_low = Less(short, zero) low = Cast<to = 7>(is_low) a = Mul(low, more)
    is_high = Not(is_low) high = Cast<to = 7>(is_high) b = Mul(high, x) i = Add(a, b) y = Gather(users, i) }"""


def test_ids_that_tensorflow_lets_count_from_the_end_are_ids():
    """where(x < 0, x + rows, x), as tf2onnx writes it."""
    zero = {"zero": np.array(0, np.int32)}
    lookups = [entry.lookup for entry in import_model(model(WRAPPED, rows=np.array(ROWS), **zero)).inputs if entry.lookup]
    assert lookups == [ModelLookup(ids="x", table="users", combiner="first")]
    other = import_model(
        model(WRAPPED.replace("Less(short, zero)", "Less(short, one_)"), rows=np.array(ROWS), one_=np.array(1, np.int32))
    )
    assert not any(entry.lookup for entry in other.inputs)


def test_a_sum_that_is_not_over_all_ids_leaves_their_rows():
    graph = "(int64[N, 4] x) => (float[N, 4] y, float[N, 5] z) { g = Gather(items, x) y = ReduceSum<keepdims = 0>(g, two) h = Gather(users, x) "
    dense = import_model(model(graph + "z = ReduceSum<keepdims = 0>(h, one) k = Identity(h) }", two=np.array([2])))
    assert [(entry.lookup.combiner, entry.shape) for entry in dense.inputs if entry.lookup] == [
        ("first", (4, 5)),
        ("first", (4, 5)),
    ]


def test_a_table_that_is_also_read_as_a_matrix_stays_one():
    dense = import_model(model("(int64[N] x) => (float[N, 20] y) { e = Gather(users, x) t = Transpose(users) y = MatMul(e, t) }"))
    assert dense.tables["users"].shape == (ROWS, DIM)
    assert "matmul" in operators(dense)


def test_ids_beyond_the_table_are_refused_by_name():
    features = [FEATURES[0] | {"num_buckets": ROWS + 1}, *FEATURES[1:]]
    with pytest.raises(ModelError, match=r"input 'city' indexes 20 rows in the model, but the ids of 'city' run to 20"):
        tvm_rank.compile(features={"features": features}, model=model())


def test_a_table_of_the_features_must_have_another_name():
    number = {"feature_name": "x", "feature_type": "id_feature", "expression": "item:brand", "num_buckets": 5, "embedding_dim": 2}
    features = [*FEATURES, number | {"embedding_name": "users"}]
    graph = GRAPH.replace("int64[N, 4] clicks)", "int64[N, 4] clicks, float[N, 2] x)").replace(
        "u = Gather", "more = Exp(x) u = Gather"
    )
    graph = graph.replace("float[N] linear)", "float[N] linear, float[N, 2] more)")
    with pytest.raises(RankError, match="table 'users' of the features has the name of one inside of the model"):
        tvm_rank.compile(features={"features": features}, model=model(graph), tables={"users": np.zeros((5, 2), np.float32)})
