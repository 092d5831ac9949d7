"""StoreFeatures: what features of the item alone give is read from fields behind those that there are."""

from __future__ import annotations

import json

import pytest
import tvm
from test_lower_columns import DIM, IDS, Graph, calls
from tvm import relax

from relay_passes.materialize_items import READ_FIELDS
from relay_passes.store_features import StoreFeatures, kept_of, kept_program
from te_schedules.column_group import op
from te_schedules.feature import KeptKind

FEATURES = {
    "a": {"feature_type": "id_feature", "expression": "item:ids", "num_buckets": IDS, "default_value": "3", "value_dim": 2},
    "weighted": {"feature_type": "id_feature", "expression": "item:others", "num_buckets": IDS, "weighted": True},
    "x": {"feature_type": "raw_feature", "expression": "item:number", "value_dim": 2},
    "u": {"feature_type": "id_feature", "expression": "user:ids", "num_buckets": IDS},
}


def mixed(g: Graph) -> list:
    user = g.bb.emit(relax.op.take(g.lookup("u", DIM), g.index, axis=0, mode="clip"))
    return [g.concat(user, g.lookup("a", DIM), g.feature("x")), g.lookup("weighted", DIM), g.bb.emit(op.first_id(g.feature("a")))]


def of_request(g: Graph) -> list:
    return [g.lookup("u", DIM)]


def rewritten() -> tuple[tvm.IRModule, tvm.IRModule]:
    before = Graph(FEATURES).module(mixed)
    return before, StoreFeatures()(before)


def test_each_feature_of_the_item_is_a_field_more_and_the_request_stays():
    before, after = rewritten()
    fields = [int(mod["main"].params[1].ty.shape.values[0]) for mod in (before, after)]
    assert fields == [3, 3 + 4]  # `feature` emits a once for each use; CommonFeatures comes first in the pipeline
    assert calls(after)["rank.kept_values"] == 4
    assert calls(after)["rank.id_feature"] == 1
    assert "rank.raw_feature" not in calls(after)
    assert json.loads(str(after["main"].attrs[READ_FIELDS])) == [3, 4, 5, 6]
    kept = {one.name: (one.id_space, one.weighted, one.width, one.most) for one in kept_of(after)}
    assert kept == {"a": (IDS, False, 0, 2), "x": (0, False, 2, 0), "weighted": (IDS, True, 0, 2**62)}


def test_what_is_read_has_no_limit_and_no_default_of_its_own():
    _, after = rewritten()
    columns = [op.decode(b.value) for b in after["main"].body.blocks[0].bindings if op.is_call(b.value, "rank.kept_values")]
    assert {column.name: column.kind for column in columns} == {
        "a": KeptKind(ids=True),
        "x": KeptKind(ids=False),
        "weighted": KeptKind(ids=True, weighted=True),
    }
    assert all(column.arrays["default_ids"].size == 0 and column.ints["limit"] > 2**60 for column in columns if column.kind.ids)


def test_the_columns_that_compute_what_is_stored_are_those_of_the_graph():
    before, _ = rewritten()
    columns, producers = kept_program(before)
    assert [column.name for column in columns] == ["a", "x", "weighted", "a"]
    assert not producers


@pytest.mark.parametrize("build", [of_request])
def test_a_graph_without_features_of_the_item_stays_as_it_is(build):
    before = Graph(FEATURES).module(build)
    tvm.ir.assert_structural_equal(StoreFeatures()(before), before)
