"""Passes around ensembles of trees: once per request where the request alone decides, and with the knobs of a schedule."""

from __future__ import annotations

import dataclasses

import pytest
import tvm
from forests import forest
from tvm import relax, tirx

from relay_passes.graph import op_name
from relay_passes.hoist_request_side import HoistRequestSide
from relay_passes.tile_layers import TileLayers
from te_schedules.trees import TreeKnobs
from te_schedules.trees.op import NAME, forest_of, tree_ensemble
from tvm_rank.schedule import Schedule


def module(*, is_request: bool) -> tvm.IRModule:
    """Trees over rows that are taken from the request's, or over the items' own."""
    requests, items = tirx.Var("R", "int64"), tirx.Var("N", "int64")
    user, own = (relax.Var(name, relax.TensorType([rows, 4], "float32")) for name, rows in (("user", requests), ("own", items)))
    index = relax.Var("item_request", relax.TensorType([items], "int32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [user, own, index]):
        with builder.dataflow():
            x = builder.emit(relax.op.take(user, index, axis=0, mode="clip")) if is_request else own
            scores = builder.emit(tree_ensemble(x, forest(0)))
            out = builder.emit_output(relax.op.sigmoid(scores))
        builder.emit_func_output(out)
    return builder.get()


def call_in(mod: tvm.IRModule) -> relax.Call:
    (found,) = [b.value for b in mod["main"].body.blocks[0].bindings if op_name(b.value) == NAME]
    return found


@pytest.mark.parametrize("is_request", [True, False])
def test_trees_over_the_request_run_once_per_request(is_request: bool):
    after = HoistRequestSide()(module(is_request=is_request))
    assert call_in(after).args[0].name == ("user" if is_request else "own")


def test_the_knobs_of_a_schedule_reach_the_trees():
    knobs = TreeKnobs(order="rows", lanes=16)
    schedule = Schedule(trees=knobs)
    assert forest_of(call_in(TileLayers(schedule.kernels, schedule.trees)(module(is_request=False)))).knobs == knobs
    before = module(is_request=False)
    assert TileLayers({}, TreeKnobs())(before).same_as(before)
    assert dataclasses.asdict(knobs).items() <= {"order": "rows", "lanes": 16, "block_rows": 64, "threads": 0}.items()
