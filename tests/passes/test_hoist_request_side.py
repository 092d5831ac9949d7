"""HoistRequestSide: results stay for every number of requests and items, and what depends on the request runs on R rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from sided_graph import (
    ITEM,
    USER,
    Graph,
    Program,
    assert_kept,
    assert_same_results,
    bias,
    bindings,
    calls,
    check,
    inputs,
    layer,
    weight,
)
from tvm import relax, tirx

from relay_passes.hoist_request_side import HoistRequestSide


def hoisted(mod: tvm.IRModule) -> tvm.IRModule:
    return HoistRequestSide()(mod)


def test_a_layer_over_the_request_alone_runs_on_its_rows():
    def body(g: Graph):
        return [g(layer(g.take(g.user), USER, "relu"))]

    check(hoisted, body, ["rank.dense R", "take N"])


ONE_OPERAND = {
    "relu": relax.op.nn.relu,
    "leakyrelu": lambda x: relax.op.nn.leakyrelu(x, alpha=0.25),
    "sigmoid": relax.op.sigmoid,
    "add-number": lambda x: relax.op.add(x, relax.const(np.float32(2))),
    "add-one-number": lambda x: relax.op.add(relax.const(np.full(1, 2, np.float32)), x),
    "add-vector": lambda x: relax.op.add(x, relax.const(bias(USER))),
    "divide-by-row": lambda x: relax.op.divide(x, relax.const(bias(USER)[None] + 3)),
    "row-over-value": lambda x: relax.op.subtract(relax.const(bias(USER)[None]), x),
}


@pytest.mark.parametrize("operator", ONE_OPERAND.values(), ids=ONE_OPERAND)
def test_elementwise_operators_with_constants_run_on_request_rows(operator: Callable[[relax.Expr], relax.Call]):
    before = Graph(lambda g: [g(operator(g.take(g.user)))]).mod
    after = hoisted(before)
    assert_same_results(before, after)
    first, last = calls(after)
    assert first.endswith(" R")
    assert last == "take N"


def _heads(g: Graph, x: relax.Expr) -> relax.Expr:
    """The columns of `x` as (rows, 1, USER)."""
    return g(relax.op.reshape(x, relax.ShapeExpr([x.ty.shape.values[0], 1, USER])))


ON_ROWS = {
    "sum": lambda _g, x: relax.op.sum(x, axis=[1]),
    "mean-kept": lambda _g, x: relax.op.mean(x, axis=[-1], keepdims=True),
    "softmax": lambda _g, x: relax.op.nn.softmax(x, axis=-1),
    "layer-norm": lambda _g, x: relax.op.nn.layer_norm(x, relax.const(bias(USER)), relax.const(bias(USER)), axes=[-1]),
    "product-with-a-matrix": lambda _g, x: relax.op.matmul(x, relax.const(weight(USER))),
    "attention": lambda g, x: relax.op.matmul(_heads(g, x), g(relax.op.permute_dims(_heads(g, x), [0, 2, 1]))),
    "slice": lambda _g, x: relax.op.strided_slice(x, [1], [1], [3]),
    "column": lambda _g, x: relax.op.take(x, relax.const(2, "int64"), axis=1),
    "clip": lambda _g, x: relax.op.clip(x, -0.5, 0.5),
    "as-integers": lambda g, x: relax.op.astype(g(relax.op.multiply(x, relax.const(np.float32(100)))), "float64"),
    "broadcast": lambda g, x: relax.op.broadcast_to(_heads(g, x), relax.ShapeExpr([x.ty.shape.values[0], 4, USER])),
    "where": lambda g, x: relax.op.where(g(relax.op.less(x, relax.const(np.float32(0)))), x, relax.const(np.float32(7))),
    "expand": lambda _g, x: relax.op.expand_dims(x, axis=[-1]),
}


@pytest.mark.parametrize("operator", ON_ROWS.values(), ids=ON_ROWS)
def test_operators_on_each_row_run_on_request_rows(operator):
    before = Graph(lambda g: [g(operator(g, g.take(g.user)))]).mod
    after = hoisted(before)
    assert_same_results(before, after)
    *others, last = calls(after)
    assert all(call.endswith(" R") for call in others)
    assert last == "take N"


def test_a_chain_over_two_request_values_is_taken_to_the_items_once():
    def body(g: Graph):
        total = g(relax.op.add(g.take(g.user), g.take(g.more)))
        return [g(relax.op.sigmoid(g(relax.op.nn.relu(total))))]

    check(hoisted, body, ["add R", "nn.relu R", "sigmoid R", "take N"])


def test_a_request_value_that_both_sides_use_is_taken_where_items_meet_it():
    def body(g: Graph):
        tower = g(layer(g.take(g.user), USER, "relu"))
        items = g(layer(g.item, ITEM, "relu"))
        return [g(relax.op.multiply(tower, items)), g(relax.op.nn.relu(tower))]

    check(hoisted, body, ["rank.dense R", "take N", "rank.dense N", "multiply N", "nn.relu R", "take N"])


def test_outputs_that_depend_on_the_request_alone_have_a_row_per_item():
    def body(g: Graph):
        taken = g.take(g.user)
        return [taken, g(relax.op.nn.relu(taken)), g(layer(taken, USER)), taken]

    check(hoisted, body, ["take N", "nn.relu R", "take N", "rank.dense R", "take N"])


def test_vectors_of_one_number_per_request_are_hoisted():
    def body(g: Graph):
        column = g(relax.op.squeeze(g(relax.op.strided_slice(g.user, [1], [0], [1])), axis=[1]))
        return [g(relax.op.add(g.take(column), relax.const(np.ones(1, np.float32))))]

    check(hoisted, body, ["strided_slice R", "squeeze R", "add R", "take N"])


# ---- what must stay as it is


def test_a_constant_with_rows_keeps_the_sum_on_item_rows():
    rows = relax.const(np.arange(7 * USER, dtype=np.float32).reshape(7, USER))
    x, index = relax.Var("user", relax.TensorType([2, USER], "float32")), relax.Var("item_request", relax.TensorType([7], "int32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, index]):
        with builder.dataflow():
            taken = builder.emit(relax.op.take(x, index, axis=0, mode="clip"))
            result = builder.emit_output(relax.Tuple([builder.emit(relax.op.add(taken, rows))]))
        builder.emit_func_output(result)
    tvm.ir.assert_structural_equal(hoisted(builder.get()), builder.get())


def test_an_outer_sum_of_vectors_is_not_taken_for_a_sum_of_rows():
    # (N, 1) + (N,) is (N, N): computed on R rows it would be (R, R)
    requests, items = tirx.Var("R", "int64"), tirx.Var("N", "int64")
    column, vector = (
        relax.Var("c", relax.TensorType([requests, 1], "float32")),
        relax.Var("v", relax.TensorType([requests], "float32")),
    )
    index = relax.Var("item_request", relax.TensorType([items], "int32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [column, vector, index]):
        with builder.dataflow():
            taken = [builder.emit(relax.op.take(value, index, axis=0, mode="clip")) for value in (column, vector)]
            result = builder.emit_output(relax.Tuple([builder.emit(relax.op.add(*taken))]))
        builder.emit_func_output(result)
    tvm.ir.assert_structural_equal(hoisted(builder.get()), builder.get())


KEPT = {
    "item-side-layer": lambda g: [g(layer(g.item, ITEM))],
    "sum-with-an-item-value": lambda g: [g(relax.op.add(g.take(g.user), g(layer(g.item, ITEM, units=USER))))],
    "reduction-of-rows": lambda g: [g(relax.op.sum(g.take(g.user), axis=0))],
    "rows-as-columns": lambda g: [g(relax.op.permute_dims(g.take(g.user)))],
    "softmax-over-rows": lambda g: [g(relax.op.nn.softmax(g.take(g.user), axis=0))],
    "slice-of-rows": lambda g: [g(relax.op.strided_slice(g.take(g.user), [0], [0], [1]))],
    "rows-in-one": lambda g: [g(relax.op.reshape(g.take(g.user), (-1,)))],
    "layer-with-a-row-bias": lambda g: [
        g(layer(g.take(g.user), USER, row_bias=g(layer(g.more, USER)), row_index=g.index)),
    ],
    "rows-on-top-of-each-other": lambda g: [g.concat(g.take(g.user), g.take(g.more), axis=0)],
    "index-into-columns": lambda g: [g(relax.op.nn.relu(g.take(g.user, axis=1)))],
    "nan-beyond-the-rows": lambda g: [g(relax.op.nn.relu(g.take(g.user, mode="nan")))],
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_what_is_not_request_side_stays(body: Callable[[Graph], list[relax.Expr]]):
    assert_kept(hoisted, body)


@pytest.mark.parametrize("options", [{"index": "other"}, {"dtype": "int64"}], ids=["name", "dtype"])
def test_only_the_index_parameter_marks_request_values(options: dict[str, str]):
    assert_kept(hoisted, lambda g: [g(relax.op.nn.relu(g.take(g.user)))], **options)


def test_another_index_does_not_mark_a_request_value():
    def body(g: Graph):
        other = g(relax.op.add(g.index, relax.const(1, "int32")))
        return [g(relax.op.nn.relu(g(relax.op.take(g.user, other, axis=0, mode="clip"))))]

    assert_kept(hoisted, body)


def test_a_value_that_was_taken_before_is_a_row_per_item():
    def body(g: Graph):
        once = g.take(g.user)
        return [g(relax.op.add(once, g.take(once)))]

    mod = Graph(body).mod
    assert_same_results(mod, hoisted(mod))


def test_a_match_cast_stays_a_match_cast():
    def body(g: Graph):
        width = g.builder.match_cast(g.item, relax.TensorType([g.item.ty.shape.values[0], ITEM], "float32"))
        return [width, g(relax.op.nn.relu(g.take(g.user)))]

    after = hoisted(Graph(body).mod)
    assert sum(isinstance(binding, relax.MatchCast) for binding in bindings(after)) == 1


def test_an_index_beyond_the_rows_means_the_nearest_row_before_and_after():
    def body(g: Graph):
        return [g(layer(g.concat(g.take(g.user), g.item), USER + ITEM)), g(relax.op.nn.relu(g.take(g.more)))]

    before = Graph(body).mod
    given = [*inputs(3, 7)[:3], np.array([-5, 0, 1, 2, 3, 99, -1], np.int32)]
    for want, got in zip(Program(before)(*given), Program(hoisted(before))(*given), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
