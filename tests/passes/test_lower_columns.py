"""LowerColumns: one kernel for each descriptor table, concatenations in place, the numbers of the definitions."""

from __future__ import annotations

import collections
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tvm
from tvm import relax, tirx

from relay_passes.lower_columns import GROUPS, REFUSALS, LowerColumns
from te_schedules.column import WORDS
from te_schedules.column_group import op
from te_schedules.column_group.table_format import TableFormat
from tvm_rank import pipeline
from tvm_rank.config.load import load_config
from tvm_rank.lowering import column_of
from tvm_rank.lowering.fields import FieldTable
from tvm_rank.ops import id_feature, lookup, raw_feature
from tvm_rank.runtime.columns import Table
from tvm_rank.target import resolve

IDS, DIM, WIDE = 20, 4, 20
STACK_ROWS = 2 * IDS
FEATURES = {
    "a": {"feature_type": "id_feature", "expression": "item:ids", "num_buckets": IDS},
    "b": {"feature_type": "id_feature", "expression": "item:others", "num_buckets": IDS, "default_value": "3"},
    "x": {"feature_type": "raw_feature", "expression": "item:number", "value_dim": 2},
    "u": {"feature_type": "id_feature", "expression": "user:ids", "num_buckets": IDS},
}
ITEM_COLUMNS = {
    "ids": pa.array([[1, 2], None, [19, 19, 5], [], [0]], pa.list_(pa.int64())),
    "others": pa.array([[7], [], None, [1, 1], [2]], pa.list_(pa.int64())),
    "number": pa.array([[0.5, 1.0], None, [-2.0, 3.0], [0.0, 0.25], [9.0, 8.0]], pa.list_(pa.float32())),
}
USER_COLUMNS = {"ids": pa.array([[4, 5], [6]], pa.list_(pa.int64()))}
ITEM_REQUEST = np.array([1, 0, 0, 1, 1], np.int32)
STACKS = {dim: np.random.default_rng(dim).standard_normal((STACK_ROWS, dim), dtype=np.float32) for dim in (DIM, WIDE)}


class Graph:
    """A function under construction, over one request and one item table, with the definition of everything in it."""

    def __init__(self, features: Mapping[str, Mapping[str, Any]] = FEATURES) -> None:
        self.features = {
            f.name: f for f in load_config({"features": [{"feature_name": n, **k} for n, k in features.items()]}).features
        }
        self.fields = {True: FieldTable(), False: FieldTable()}
        self.columns = {f.name: column_of(f, self.fields[f.is_request], "std") for f in self.features.values()}
        self.rows = {True: tirx.Var("R", "int64"), False: tirx.Var("N", "int64")}
        self.tables = {
            side: relax.Var(name, relax.TensorType([len(self.fields[side].uses), WORDS], "int64"))
            for side, name in ((True, "request_columns"), (False, "item_columns"))
        }
        self.stacks = {dim: relax.Var(f"stack_{dim}", relax.TensorType([STACK_ROWS, dim], "float32")) for dim in STACKS}
        self.index = relax.Var("item_request", relax.TensorType([self.rows[False]], "int32"))
        shape = relax.Var("rows", relax.ShapeType([self.rows[True], self.rows[False]]))
        self.params = [self.tables[True], self.tables[False], shape, self.index, *self.stacks.values()]
        self.bb = relax.BlockBuilder()

    def feature(self, name: str) -> relax.Var:
        side = self.features[name].is_request
        return self.bb.emit(op.feature(self.tables[side], self.rows[side], self.columns[name]))

    def lookup(self, name: str, dim: int, *, combiner: str = "mean", row: int = 0) -> relax.Var:
        form = TableFormat("fp32", dim)
        return self.bb.emit(
            op.lookup(self.feature(name), self.stacks[dim], form, combiner=combiner, table=f"t{row}", table_row=row)
        )

    def concat(self, *parts: relax.Expr) -> relax.Var:
        return self.bb.emit(relax.op.concat(list(parts), axis=1))

    def module(self, build) -> tvm.IRModule:
        with self.bb.function("main", self.params, attrs={"global_symbol": "main"}):
            with self.bb.dataflow():
                out = self.bb.emit_output(relax.Tuple(build(self)))
            self.bb.emit_func_output(out)
        return self.bb.get()


def run(mod: tvm.IRModule, features: Mapping[str, Mapping[str, Any]] = FEATURES, **options: Any) -> list[np.ndarray]:
    """The results of the module, lowered and built, for the columns above. options: of `pipeline.run`."""
    graph = Graph(features)
    target = resolve("cpu").tvm_target
    machine = relax.VirtualMachine(pipeline.build(pipeline.run(mod, target, **options), target), tvm.cpu())
    words = []
    for side, columns, rows in ((True, USER_COLUMNS, 2), (False, ITEM_COLUMNS, 5)):
        table = Table(graph.fields[side].uses)
        for k, use in enumerate(table.uses):
            table.fill(k, columns[use.name], rows, use.name)
        words.append(table)
    arguments = [
        *(tvm.runtime.tensor(table.words) for table in words),
        tvm.runtime.ShapeTuple([2, 5]),
        tvm.runtime.tensor(ITEM_REQUEST),
    ]
    results = machine["main"](*arguments, *(tvm.runtime.tensor(stack) for stack in STACKS.values()))
    return [result.numpy() for result in results]


def pooled(name: str, dim: int, combiner: str = "mean", row: int = 0) -> np.ndarray:
    """What a lookup is defined to give."""
    feature = Graph().features[name]
    columns, rows = (USER_COLUMNS, 2) if feature.is_request else (ITEM_COLUMNS, 5)
    out = id_feature.reference(feature, [columns[feature.fields[0].name]], rows, "std")
    return lookup.reference(out.values, out.lengths, None, STACKS[dim][row : row + IDS], combiner)


def numbers() -> np.ndarray:
    return raw_feature.reference(Graph().features["x"], [ITEM_COLUMNS["number"]], 5, "std").dense


def calls(mod: tvm.IRModule) -> collections.Counter:
    """How often each operator stands in main; kernels by their name."""
    found: collections.Counter = collections.Counter()

    def visit(expr) -> None:
        if isinstance(expr, relax.Call):
            called = expr.args[0].name_hint if expr.op == tvm.ir.Op.get("relax.call_tir") else expr.op.name
            found[called] += 1

    relax.analysis.post_order_visit(mod["main"].body, visit)
    return found


def in_place(g: Graph) -> list:
    return [g.concat(g.lookup("a", DIM), g.feature("x"), g.lookup("b", WIDE, combiner="sum", row=IDS))]


def test_a_concatenation_becomes_one_kernel_that_writes_in_place():
    lowered = LowerColumns()(Graph().module(in_place))
    assert calls(lowered) == {"item_features": 1}
    names = [str(v.name_hint) for v in lowered.get_global_vars()]
    assert [name for name in names if not name.startswith("rank_")] == ["item_features", "main"]  # procedures are called by kernels
    (groups, refusals) = (json.loads(str(lowered["main"].attrs[key])) for key in (GROUPS, REFUSALS))
    assert [(g["kernel"], g["columns"]) for g in groups] == [("item_features", 1)] * 3
    assert sorted(refusals[0]) == ["a", "b", "x"]
    kernel_out = lowered["main"].body.blocks[0].bindings[0].value.ty_args[0]
    (rows, width), (statuses,) = (part.shape.values for part in kernel_out.fields)
    assert (str(rows), int(width), int(statuses)) == ("N", DIM + 2 + WIDE, 3)


def test_what_is_written_in_place_is_what_the_concatenation_would_hold():
    (out, status) = run(Graph().module(in_place))
    wanted = np.concatenate([pooled("a", DIM), numbers(), pooled("b", WIDE, "sum", IDS)], axis=1)
    np.testing.assert_allclose(out, wanted, rtol=1e-6, atol=1e-6)
    assert status.tolist() == [0, 0, 0]


def nested(g: Graph) -> list:
    inner = g.concat(g.feature("x"), g.lookup("b", WIDE, combiner="sum", row=IDS))
    return [g.bb.emit(relax.op.concat([g.lookup("a", DIM), inner], axis=-1))]


def test_concatenations_inside_of_one_another_are_written_in_place():
    module = Graph().module(nested)
    assert calls(LowerColumns()(module)) == {"item_features": 1}
    (out, _) = run(module)
    wanted = np.concatenate([pooled("a", DIM), numbers(), pooled("b", WIDE, "sum", IDS)], axis=1)
    np.testing.assert_allclose(out, wanted, rtol=1e-6, atol=1e-6)


def nested_with_two_users(g: Graph) -> list:
    inner = g.concat(g.feature("x"), g.lookup("b", WIDE, combiner="sum", row=IDS))
    return [g.concat(g.lookup("a", DIM), inner), inner]


def test_a_concatenation_with_another_user_is_written_once_and_stays_right():
    module = Graph().module(nested_with_two_users)
    assert calls(LowerColumns()(module)) == {"item_features": 1, "relax.concat": 1}
    outer, inner, _ = run(module)
    np.testing.assert_allclose(inner, np.concatenate([numbers(), pooled("b", WIDE, "sum", IDS)], axis=1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(outer, np.concatenate([pooled("a", DIM), inner], axis=1), rtol=1e-6, atol=1e-6)


def two_users(g: Graph) -> list:
    shared = g.lookup("a", DIM)
    return [g.concat(shared, g.feature("x")), shared, g.concat(shared, shared)]


def test_a_lookup_with_two_users_is_computed_once_and_stays_right():
    module = Graph().module(two_users)
    lowered = calls(LowerColumns()(module))
    assert (lowered["item_features"], lowered["relax.concat"]) == (1, 1)
    first, second, third, _ = run(module)
    embedding = pooled("a", DIM)
    np.testing.assert_allclose(first, np.concatenate([embedding, numbers()], axis=1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(second, embedding, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(third, np.concatenate([embedding, embedding], axis=1), rtol=1e-6, atol=1e-6)


def both_sides(g: Graph) -> list:
    user = g.bb.emit(relax.op.take(g.lookup("u", DIM), g.index, axis=0))
    return [g.concat(user, g.concat(g.lookup("a", DIM, combiner="max"), g.feature("x"))), g.bb.emit(op.first_id(g.feature("b")))]


def test_each_side_has_its_own_kernel_and_mixed_groups_are_right():
    module = Graph().module(both_sides)
    lowered = calls(LowerColumns()(module))
    assert (lowered["item_features"], lowered["request_features"], lowered["relax.concat"]) == (1, 1, 1)
    mixed, first_ids, *statuses = run(module)
    wanted = np.concatenate([pooled("u", DIM)[ITEM_REQUEST], pooled("a", DIM, "max"), numbers()], axis=1)
    np.testing.assert_allclose(mixed, wanted, rtol=1e-6, atol=1e-6)
    assert first_ids.tolist() == [[7], [3], [3], [1], [2]]
    assert sorted(len(status) for status in statuses) == [1, 3]


def separate(g: Graph) -> list:
    return [g.lookup("a", WIDE), g.feature("x"), g.concat(g.lookup("b", DIM, row=IDS), g.lookup("a", DIM))]


def test_one_kernel_writes_several_outputs_those_that_stand_alone_side_by_side():
    module = Graph().module(separate)
    lowered = LowerColumns()(module)
    assert calls(lowered) == {"item_features": 1, "relax.strided_slice": 2}
    (outs,) = [b.value for b in lowered["main"].body.blocks[0].bindings if isinstance(b.var.ty, relax.TupleType)][:1]
    assert [int(tensor.shape.values[1]) for tensor in outs.ty.fields[:-1]] == [2 * DIM, WIDE + numbers().shape[1]]
    wide, dense, both, _ = run(module)
    np.testing.assert_allclose(wide, pooled("a", WIDE), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(dense, numbers())
    np.testing.assert_allclose(
        both, np.concatenate([pooled("b", DIM, "mean", IDS), pooled("a", DIM)], axis=1), rtol=1e-6, atol=1e-6
    )


def no_features(g: Graph) -> list:
    return [g.bb.emit(relax.op.take(g.stacks[DIM], g.index, axis=0))]


def test_a_graph_without_features_is_left_alone():
    module = Graph().module(no_features)
    assert LowerColumns()(module).same_as(module)


@pytest.mark.parametrize("build", [in_place, two_users, both_sides, separate])
def test_no_feature_operator_is_left(build):
    assert not [name for name in calls(LowerColumns()(Graph().module(build))) if name.startswith("rank.")]
