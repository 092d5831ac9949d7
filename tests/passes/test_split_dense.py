"""SplitDense: a layer over both sides becomes one on R rows and one on N rows, with the same results."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tvm
from sided_graph import (
    ITEM,
    TILES,
    UNITS,
    USER,
    Graph,
    assert_kept,
    assert_same_results,
    bias,
    calls,
    check,
    layer,
    weight,
)
from tvm import relax

from relay_passes.hoist_request_side import HoistRequestSide
from relay_passes.split_dense import SplitDense
from te_schedules.dense import pack
from te_schedules.dense.op import dense


def split(mod: tvm.IRModule) -> tvm.IRModule:
    return SplitDense()(HoistRequestSide()(mod))


def test_a_layer_over_both_sides_is_split_and_its_activation_comes_last():
    def body(g: Graph):
        return [g(layer(g.concat(g.take(g.user), g.item), USER + ITEM, "relu"))]

    check(split, body, ["rank.dense R", "rank.dense N"])


def test_the_split_graph_is_exactly_this():
    def before(g: Graph):
        return [g(layer(g.concat(g.take(g.user), g.item), USER + ITEM, "sigmoid"))]

    def expected(g: Graph):
        whole, tiles = weight(USER + ITEM), TILES
        options = {"units": UNITS, "tiles": tiles}
        part = g(dense(g.user, relax.const(pack(whole[:USER], tiles)), relax.const(bias()), activation="none", **options))
        zeros = relax.const(np.zeros(UNITS, np.float32))
        packed = relax.const(pack(whole[USER:], tiles))
        return [g(dense(g.item, packed, zeros, activation="sigmoid", row_bias=part, row_index=g.index, **options))]

    tvm.ir.assert_structural_equal(split(Graph(before).mod), Graph(expected).mod)


def test_rows_of_the_weight_follow_interleaved_parts():
    def body(g: Graph):
        return [g(layer(g.concat(g.item, g.take(g.user), g(relax.op.tanh(g.item))), USER + 2 * ITEM))]

    check(split, body, ["tanh N", "rank.dense R", "concat N", "rank.dense N"])


def test_several_request_parts_are_joined_on_their_own_rows():
    def body(g: Graph):
        return [g(layer(g.concat(g.take(g.user), g.item, g.take(g.more)), 2 * USER + ITEM, "tanh"))]

    check(split, body, ["concat R", "rank.dense R", "rank.dense N"])


def test_nested_concatenations_of_both_sides_are_opened():
    def body(g: Graph):
        inner = g.concat(g.item, g.concat(g.take(g.user), g(relax.op.tanh(g.item))))
        return [g(layer(g.concat(g.take(g.more), inner, axis=-1), 2 * USER + 2 * ITEM))]

    check(split, body, ["tanh N", "concat R", "rank.dense R", "concat N", "rank.dense N"])


def test_a_nested_concatenation_of_items_stays_whole():
    def body(g: Graph):
        return [g(layer(g.concat(g.concat(g.item, g.item), g.take(g.user)), USER + 2 * ITEM))]

    check(split, body, ["concat N", "rank.dense R", "rank.dense N"])


def test_layers_over_the_same_parts_share_their_concatenations():
    def body(g: Graph):
        both = g.concat(g.take(g.user), g.item, g.take(g.more), g(relax.op.tanh(g.item)))
        return [g(layer(both, 2 * USER + 2 * ITEM)), g(layer(both, 2 * USER + 2 * ITEM, "tanh", units=1))]

    after = check(split, body, ["tanh N", "concat R", "rank.dense R", "concat N", "rank.dense N", "rank.dense R", "rank.dense N"])
    assert Counter(calls(after))["concat N"] == 1


def test_another_user_of_the_concatenation_keeps_it():
    def body(g: Graph):
        both = g.concat(g.take(g.user), g.item)
        return [g(layer(both, USER + ITEM)), g(relax.op.nn.relu(both))]

    check(split, body, ["take N", "concat N", "rank.dense R", "rank.dense N", "nn.relu N"])


def test_a_request_tower_feeds_a_split_layer_without_being_tiled():
    def body(g: Graph):
        tower = g(relax.op.nn.relu(g(layer(g.concat(g.take(g.user), g.take(g.more)), 2 * USER, "tanh"))))
        return [g(layer(g.concat(tower, g.item), UNITS + ITEM, "relu"))]

    check(split, body, ["concat R", "rank.dense R", "nn.relu R", "rank.dense R", "rank.dense N"])


def test_a_value_that_enters_twice_is_multiplied_once():
    def body(g: Graph):
        return [g(layer(g.concat(g.item, g.take(g.user), g.item), USER + 2 * ITEM))]

    check(split, body, ["rank.dense R", "rank.dense N"])


# ---- sums, differences and multiples are distributed


def test_only_the_product_of_both_sides_and_the_item_stay_on_item_rows():
    def body(g: Graph):
        u, v = g.take(g.user), g(layer(g.item, ITEM, units=USER))
        pair = g.concat(u, v, g(relax.op.subtract(u, v)), g(relax.op.multiply(u, v)))
        return [g(layer(pair, 4 * USER, "relu"))]

    expected = ["take N", "rank.dense N", "multiply N", "rank.dense R", "concat N", "rank.dense N"]
    check(split, body, expected)


SCALED = {
    "sum": lambda g, u, v: g(relax.op.add(v, u)),
    "difference": lambda g, u, v: g(relax.op.subtract(v, u)),
    "negative": lambda g, u, v: g(relax.op.add(g(relax.op.negative(u)), v)),
    "multiple": lambda g, u, v: g(relax.op.add(g(relax.op.multiply(u, relax.const(np.float32(3)))), v)),
    "quotient": lambda g, u, v: g(relax.op.divide(g(relax.op.add(u, v)), relax.const(np.float32(4)))),
}


@pytest.mark.parametrize("value", SCALED.values(), ids=SCALED)
def test_linear_combinations_are_a_layer_for_each_side(value):
    def body(g: Graph):
        return [g(layer(value(g, g.take(g.user), g(layer(g.item, ITEM, units=USER))), USER))]

    mod = Graph(body).mod
    assert_same_results(mod, split(mod))
    assert calls(split(mod))[-2:] == ["rank.dense R", "rank.dense N"]
    assert "take N" not in calls(split(mod))


NOT_LINEAR = {
    "product": lambda g, u, v: g(relax.op.multiply(u, v)),
    "one-over": lambda g, u, v: g(relax.op.divide(relax.const(np.float32(1)), g(relax.op.add(v, u)))),
    "spread": lambda g, _u, v: g(relax.op.add(v, g.take(g(relax.op.strided_slice(g.user, [1], [0], [1]))))),
    "zero": lambda g, u, v: g(relax.op.divide(g(relax.op.add(v, u)), relax.const(np.float32(0)))),
}


@pytest.mark.parametrize("value", NOT_LINEAR.values(), ids=NOT_LINEAR)
def test_what_is_no_linear_combination_stays(value):
    assert_kept(split, lambda g: [g(layer(value(g, g.take(g.user), g(layer(g.item, ITEM, units=USER))), USER))])
