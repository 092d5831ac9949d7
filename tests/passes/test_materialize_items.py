"""MaterializeItems: what depends on the item alone is computed by a function of its own, with the same results."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import tvm
from sided_graph import TILES
from test_lower_columns import DIM, ITEM_COLUMNS, ITEM_REQUEST, STACKS, USER_COLUMNS, WIDE, Graph, calls
from tvm import relax

from relay_passes.lower_columns import LowerColumns
from relay_passes.materialize_items import DENSE, EMBEDDINGS, ITEM_VALUES, READ_FIELDS, STORED, MaterializeItems
from te_schedules.dense import pack
from te_schedules.dense.op import dense
from tvm_rank import pipeline
from tvm_rank.runtime.columns import Table
from tvm_rank.target import resolve

UNITS = 6
ROWS = np.array([4, 0, 0, 2, 3, 1, 4], np.int32)  # the rows of the items of a request, each more than once or not at all


def layer(g: Graph, x: relax.Expr, activation: str = "tanh", **more: relax.Expr) -> relax.Var:
    depth = int(x.ty.shape.values[1])
    weight = np.random.default_rng(depth).standard_normal((depth, UNITS), dtype=np.float32)
    bias = relax.const(np.linspace(-1, 1, UNITS, dtype=np.float32))
    return g.bb.emit(dense(x, relax.const(pack(weight, TILES)), bias, units=UNITS, activation=activation, tiles=TILES, **more))


def users(g: Graph) -> relax.Var:
    """Rows of the request, at the items."""
    return g.bb.emit(relax.op.take(g.lookup("u", DIM), g.index, axis=0, mode="clip"))


def of_items(g: Graph) -> relax.Var:
    return g.concat(g.lookup("a", DIM), g.feature("x"))


def mixed(g: Graph) -> list:
    """Item features on both sides of one of the request, in front of a dense layer; and a feature that is read as it is."""
    return [layer(g, g.concat(of_items(g), users(g), g.lookup("b", WIDE))), g.feature("x")]


def summed(g: Graph) -> list:
    """A layer of which only its parts are left."""
    part = layer(g, g.lookup("u", DIM), "none")
    return [layer(g, of_items(g), "sigmoid", row_bias=part, row_index=g.index)]


def tower(g: Graph) -> list:
    """A product of a request and an item tower."""
    return [g.bb.emit(relax.op.multiply(layer(g, users(g)), layer(g, layer(g, of_items(g)))))]


def of_request(g: Graph) -> list:
    return [layer(g, users(g))]


RESULTS = {mixed: 2, summed: 1, tower: 1}


def table(columns: dict, side: bool, rows: int, index: np.ndarray | None = None) -> Table:
    made = Table(Graph().fields[side].uses)
    for k, use in enumerate(made.uses):
        made.fill(k, columns[use.name] if index is None else columns[use.name].take(index), rows, use.name)
    return made


@functools.cache
def machine_of(build, level: str | None) -> relax.VirtualMachine:
    mod, target = Graph().module(build), resolve("cpu").tvm_target
    return relax.VirtualMachine(pipeline.build(pipeline.run(mod, target, materialize=level), target), tvm.cpu())


def arguments(tables: list[Table], requests: int, items: int, *more: np.ndarray) -> list:
    tensors = [tvm.runtime.tensor(made.words) for made in tables]
    return [*tensors, tvm.runtime.ShapeTuple([requests, items]), *(tvm.runtime.tensor(array) for array in more)]


@pytest.mark.parametrize(("build", "level"), [(mixed, EMBEDDINGS), (mixed, DENSE), (summed, DENSE), (tower, DENSE)])
def test_scores_are_the_same_when_values_come_from_a_store(build, level: str):
    stacks, index = list(STACKS.values()), ITEM_REQUEST[ROWS]
    user, items, chosen = table(USER_COLUMNS, True, 2), table(ITEM_COLUMNS, False, 5), table(ITEM_COLUMNS, False, len(ROWS), ROWS)
    plain = machine_of(build, None)
    wanted = plain["main"](*arguments([user, chosen], 2, len(ROWS), index, *stacks))
    machine = machine_of(build, level)
    ahead = machine["item_values_columns"](*arguments([items], 1, 5, *stacks))
    stored = [ahead[k].numpy() for k in range(len(ahead) - 1)]
    assert not ahead[len(ahead) - 1].numpy().any()
    got = machine["main"](*arguments([user, chosen], 2, len(ROWS), index, ROWS, *stored, *stacks))
    for k in range(RESULTS[build]):
        np.testing.assert_allclose(got[k].numpy(), wanted[k].numpy(), rtol=1e-5, atol=1e-5)
        assert np.ptp(got[k].numpy(), axis=0).max() > 0.01


def rewritten(build, level: str) -> tvm.IRModule:
    return MaterializeItems(level)(Graph().module(build))


def attribute(mod: tvm.IRModule, name: str):
    return json.loads(str(mod["main"].attrs[name]))


def test_the_item_part_of_a_layer_is_stored_and_added_by_the_layer():
    mod = rewritten(mixed, DENSE)
    assert attribute(mod, STORED) == [[[UNITS], "float32"], [[2], "float32"]]
    assert attribute(mod, READ_FIELDS) == []
    assert [param.name for param in mod["main"].params][3:7] == ["item_request", "item_rows", "stored_0", "stored_1"]
    (call,) = [b.value for b in mod["main"].body.blocks[0].bindings if str(b.value).find("rank.dense") >= 0]
    assert len(call.args) == 5
    assert calls(mod)["rank.lookup"] == 1


def test_embeddings_are_stored_side_by_side_and_no_product_is():
    mod = rewritten(mixed, EMBEDDINGS)
    assert attribute(mod, STORED) == [[[DIM + 2], "float32"], [[WIDE], "float32"], [[2], "float32"]]
    assert calls(mod)["rank.dense"] == 1
    assert "rank.dense" not in str(mod[ITEM_VALUES])


def test_a_whole_tower_is_stored():
    mod = rewritten(tower, DENSE)
    assert attribute(mod, STORED) == [[[UNITS], "float32"]]
    assert calls(mod)["rank.dense"] == 1


@pytest.mark.parametrize("level", [EMBEDDINGS, DENSE])
def test_a_graph_without_items_stays_as_it_is(level: str):
    before = Graph().module(of_request)
    tvm.ir.assert_structural_equal(MaterializeItems(level)(before), before)


def test_the_kernels_of_both_functions_have_names_of_their_own():
    lowered = LowerColumns()(LowerColumns(ITEM_VALUES)(rewritten(mixed, DENSE)))
    names = {str(var.name_hint) for var in lowered.get_global_vars()}
    assert {"main", ITEM_VALUES, "item_values_features", "request_features"} <= names
    assert "item_features" not in names
