"""ReduceDense: chosen dense layers in bf16 or int8, close to the same results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tvm
from sided_graph import ITEM, TILES, UNITS, USER, Graph, Program, bias, calls, inputs, layer, weight
from tvm import relax

from relay_passes.graph import op_name
from relay_passes.hoist_request_side import HoistRequestSide
from relay_passes.reduce_dense import ReduceDense, Reduction, dense_layers
from relay_passes.split_dense import SplitDense
from te_schedules.dense import pack
from te_schedules.dense.op import dense
from te_schedules.dense.reduced.op import REDUCED_DENSE, reduced_layer_of
from te_schedules.dense.tiles import AVX512
from tvm_rank.ops.reduced_dense import reference

HERE = tvm.target.Target({"kind": "llvm", "mcpu": "haswell"})


def two_layers(g: Graph):
    return [g(layer(g(layer(g.concat(g.take(g.user), g.item), USER + ITEM, "relu")), UNITS, "tanh"))]


def split_module() -> tvm.IRModule:
    return SplitDense()(HoistRequestSide()(Graph(two_layers).mod))


@pytest.mark.parametrize(("precision", "tolerance"), [("int8", 0.15), ("bf16", 0.05)])
def test_reduced_layers_give_nearly_the_same_and_others_stay(precision, tolerance):
    before = split_module()
    after = ReduceDense({1: Reduction(precision), 2: Reduction(precision)}, HERE)(before)
    assert [name.split()[0] for name in calls_with_tuples(after) if "dense" in name] == ["rank.dense", *["rank.reduced_dense"] * 2]
    given = inputs(3, 50)
    want, got = (Program(mod)(*given)[0] for mod in (before, after))
    assert 0 < np.abs(got - want).max() < tolerance


def calls_with_tuples(mod: tvm.IRModule) -> list[str]:
    return [b.value.op.name for block in mod["main"].body.blocks for b in block.bindings if isinstance(b.value, relax.Call)]


def test_a_reduced_layer_is_its_reference_with_factors():
    def body(g: Graph):
        return [g(layer(g.item, ITEM, "relu"))]

    factors = np.linspace(0.5, 2, ITEM).astype(np.float32)
    after = ReduceDense({0: Reduction("int8", factors)}, HERE)(Graph(body).mod)
    given = inputs(1, 20)
    want = reference(given[2], weight(ITEM), bias(), "relu", "int8", factors)
    span = np.ptp(np.c_[given[2] * factors, np.zeros(20)], axis=1, keepdims=True) / 255
    assert (np.abs(Program(after)(*given)[0] - want) <= 1e-5 + span * np.abs(weight(ITEM)).max()).all()


def test_the_matrix_unit_of_a_target_is_used_unless_it_is_switched_off():
    tiles = replace(AVX512, vectors=4)  # the unit has panels of two

    def body(g: Graph):
        packed = relax.const(pack(weight(ITEM), tiles))
        return [g(dense(g.item, packed, relax.const(bias()), units=UNITS, activation="relu", tiles=tiles))]

    target, mod = tvm.target.Target({"kind": "llvm", "mcpu": "sapphirerapids"}), Graph(body).mod
    for precision in ("bf16", "int8"):
        for on in (True, False):
            after = ReduceDense({0: Reduction(precision)}, target, matrix_unit=on)(mod)
            (made,) = (b.value for b in after["main"].body.blocks[0].bindings if op_name(b.value) == REDUCED_DENSE)
            found = reduced_layer_of(made)
            assert (found.matrix, found.tiles.vectors, found.words == 16) == (on, 2 if on else 4, on)


def test_layers_over_the_same_values_share_rounded_rows():
    def body(g: Graph):
        return [g(layer(g.item, ITEM, "relu")), g(layer(g.item, ITEM, "tanh"))]

    after = ReduceDense({0: Reduction("int8"), 1: Reduction("int8")}, HERE)(Graph(body).mod)
    assert calls_with_tuples(after) == ["rank.round_rows", "rank.reduced_dense", "rank.reduced_dense"]


def test_layers_are_listed_with_what_keeps_them():
    def body(g: Graph):
        wrong = weight(ITEM).copy()
        wrong[0, 0] = np.inf
        few = relax.const(pack(np.ones((UNITS, 1), np.float32), TILES))
        first = g(dense(g.item, relax.const(pack(wrong, TILES)), relax.const(bias()), units=UNITS, activation="relu", tiles=TILES))
        return [g(dense(first, few, relax.const(np.zeros(1, np.float32)), units=1, activation="none", tiles=TILES))]

    mod = Graph(body).mod
    found = dense_layers(mod)
    assert [(one.stays, one.is_first, one.is_last) for one in found] == [
        ("its weights are not all finite", True, False),
        ("few outputs", False, True),
    ]
    after = ReduceDense({0: Reduction("int8"), 1: Reduction("int8")}, HERE)(mod)
    assert calls(after) == calls(mod)


def test_parts_of_a_split_layer_are_all_first():
    assert [(one.is_first, one.is_last) for one in dense_layers(split_module())] == [(True, False), (True, False), (False, True)]
