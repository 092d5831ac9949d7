"""build_graph: features, lookups and the dense model in one function; what each side computes, and with how many rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from frontend_models import parsed, weight
from tvm import relax, tirx

from te_schedules.column import WORDS
from tvm_rank.config.load import load_config
from tvm_rank.frontend.binding import bind_inputs, table_needs
from tvm_rank.frontend.dense_model import DenseModel, ModelInput
from tvm_rank.frontend.graph import RankGraph, build_graph
from tvm_rank.frontend.onnx_model import import_model
from tvm_rank.frontend.tables import plan_stacks

DIM, ROWS = 4, 10


def bucket(name: str, field: str, **more: Any) -> dict[str, Any]:
    entry = {"feature_name": name, "feature_type": "id_feature", "expression": field, "num_buckets": ROWS, "default_value": "0"}
    return entry | {"embedding_dim": DIM} | more


def number(name: str, field: str, **more: Any) -> dict[str, Any]:
    return {"feature_name": name, "feature_type": "raw_feature", "expression": field} | more


def graph_of(features: list[dict[str, Any]], model: DenseModel) -> RankGraph:
    """The graph of a model, well-formed."""
    config = load_config({"features": features})
    bindings = bind_inputs(model.inputs, config, "model")
    needs = table_needs(bindings)
    tables = {name: np.zeros((need.id_space, need.dim), np.float32) for name, need in needs.items()}
    graph = build_graph(config, bindings, plan_stacks(needs, tables), model)
    relax.analysis.well_formed(graph.mod)
    return graph


def bindings_of(graph: RankGraph) -> list[tuple[relax.Var, relax.Expr]]:
    return [(b.var, b.value) for block in graph.mod["main"].body.blocks for b in block.bindings]


def calls(graph: RankGraph) -> list[str]:
    """Operator and number of rows of each call, ids without rows: "relax.take N"."""
    found = []
    for var, value in bindings_of(graph):
        if isinstance(value, relax.Call):
            rows = f" {var.ty.shape.values[0].name}" if isinstance(var.ty, relax.TensorType) else ""
            found.append(value.op.name.removeprefix("relax.") + rows)
    return found


FEATURES = [
    bucket("city", "user:city", group="user"),
    number("hour", "context:hour", group="user"),
    bucket("brand", "item:brand", group="item"),
]
BOTH = "(float[N, 5] user, float[N, 4] item) => (float[N, 9] y) { y = Concat <axis = 1> (user, item) }"


def test_the_request_side_has_a_row_per_request_and_is_taken_to_the_items_once():
    graph = graph_of(FEATURES, import_model(parsed(BOTH)))
    request = ["rank.id_feature", "rank.lookup R", "rank.raw_feature R", "concat R", "take N"]
    assert calls(graph) == [*request, "rank.id_feature", "rank.lookup N", "concat N"]


def test_parameters_are_the_columns_of_both_sides_the_rows_the_index_and_the_stacks():
    graph = graph_of([*FEATURES, bucket("wide", "item:wide", embedding_dim=6)], import_model(parsed(
        "(float[N, 5] user, float[N, 4] item, float[N, 6] wide) => (float[N, 15] y) { y = Concat <axis = 1> (user, item, wide) }"
    )))  # fmt: skip
    params = {param.name: param.ty for param in graph.mod["main"].params}
    assert list(params) == ["request_columns", "item_columns", "rows", "item_request", "stack_4", "stack_6"]
    shapes = {
        name: [int(n) for n in params[name].shape.values] for name in ("request_columns", "item_columns", "stack_4", "stack_6")
    }
    assert shapes == {"request_columns": [2, WORDS], "item_columns": [2, WORDS], "stack_4": [2 * ROWS, 4], "stack_6": [ROWS, 6]}
    assert [use.name for use in graph.request_uses] == ["city", "hour"]
    assert [use.name for use in graph.item_uses] == ["brand", "wide"]
    assert params["item_request"].dtype == "int32"


def test_a_shape_inside_of_the_dense_model_has_our_batch():
    text = "(float[N, 5] user, float[N, 4] item) => (float[N, 2, 2] y) { s = Constant <value_ints = [-1, 2, 2]> () y = Reshape (item, s) }"
    graph = graph_of(FEATURES, import_model(parsed(text)))
    (reshape,) = [value for _, value in bindings_of(graph) if isinstance(value, relax.Call) and value.op.name == "relax.reshape"]
    index = next(param for param in graph.mod["main"].params if param.name == "item_request")
    assert reshape.args[1].values[0].same_as(index.ty.shape.values[0])


def test_runs_of_a_group_keep_the_order_of_the_configuration():
    features = [number("a", "user:a", group="g"), number("b", "item:b", group="g"), number("c", "user:c", group="g")]
    graph = graph_of(features, import_model(parsed("(float[N, 3] g) => (float[N, 3] y) { y = Relu (g) }")))
    assert calls(graph) == [
        "rank.raw_feature R",
        "take N",
        "rank.raw_feature N",
        "rank.raw_feature R",
        "take N",
        "concat N",
        "nn.relu N",
    ]


def test_a_combination_of_both_sides_has_a_row_per_item():
    combo = {"feature_name": "cross", "feature_type": "combo_feature", "expression": ["user:city", "item:brand"],
             "hash_bucket_size": ROWS, "embedding_dim": DIM}  # fmt: skip
    graph = graph_of([combo], import_model(parsed("(float[N, 4] cross) => (float[N, 4] y) { y = Relu (cross) }")))
    assert calls(graph) == ["rank.combo_feature", "rank.lookup N", "nn.relu N"]
    assert graph.request_uses == ()
    assert [(use.side, use.name) for use in graph.item_uses] == [("user", "city"), ("item", "brand")]


def test_an_id_input_without_a_second_axis_is_a_vector():
    text = "(int64[N] city, int64[N, 1] brand) => (float[N, 2] a, float[N, 1, 2] b) { a = Gather (w, city) b = Gather (w, brand) }"
    model = import_model(parsed(text, {"w": weight(ROWS, 2)}), keep_lookups=True)
    graph = graph_of([bucket("city", "user:city"), bucket("brand", "item:brand")], model)
    assert calls(graph)[:4] == ["rank.id_feature", "rank.first_id R", "take N", "squeeze N"]
    assert calls(graph)[4:6] == ["rank.id_feature", "rank.first_id N"]


def test_a_feature_of_two_inputs_is_computed_once():
    model = import_model(parsed(
        "(float[N, 4] brand, float[N, 4] item) => (float[N, 4] y) { y = Add (brand, item) }"
    ))  # fmt: skip
    graph = graph_of([bucket("brand", "item:brand", group="item")], model)
    assert calls(graph).count("rank.id_feature") == 1


def test_kernels_that_the_importer_made_and_casts_are_carried_over():
    rows, ours = tirx.Var("B", "int64"), relax.BlockBuilder()
    x = relax.Var("price", relax.TensorType([rows, 1], "float32"))
    with ours.function("main", [x]):
        with ours.dataflow():
            doubled = ours.emit_te(lambda a: tvm.te.compute(a.shape, lambda i, j: a[i, j] * 2, name="doubled"), x)
            cast = ours.match_cast(doubled, relax.TensorType([rows, 1], "float32"))
            out = ours.emit_output(relax.Tuple([ours.emit(relax.op.nn.relu(cast))]))
        ours.emit_func_output(out)
    entry = ModelInput(name="price", dtype="float32", shape=(1,))
    graph = graph_of([number("price", "item:price")], DenseModel(source="m", inputs=(entry,), outputs=("y",), mod=ours.get()))
    assert [name for name in calls(graph) if "call_tir" in name] == ["call_tir N"]
    assert sum(isinstance(b, relax.MatchCast) for block in graph.mod["main"].body.blocks for b in block.bindings) == 1
    (called,) = [v.args[0] for _, v in bindings_of(graph) if isinstance(v, relax.Call) and v.op.name == "relax.call_tir"]
    assert isinstance(graph.mod[called], tirx.PrimFunc)
