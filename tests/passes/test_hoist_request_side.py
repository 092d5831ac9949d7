"""HoistRequestSide: results stay for every number of requests and items, and what depends on the request runs on R rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import relax, tirx

from relay_passes.hoist_request_side import HoistRequestSide
from te_schedules.dense import AVX2, pack
from te_schedules.dense.op import dense

USER, ITEM, UNITS = 5, 3, 20  # widths; UNITS is no multiple of a panel
REQUESTS, ITEMS = (1, 3), (1, 7, 64)
Emit = Callable[..., relax.Expr]


def weight(depth: int, units: int = UNITS) -> np.ndarray:
    """Numbers that differ in every place."""
    return (np.random.default_rng([depth, units]).permutation(depth * units).reshape(depth, units) / (depth * units)).astype(
        np.float32
    )


def bias(units: int = UNITS) -> np.ndarray:
    return np.linspace(-1, 1, units, dtype=np.float32)


def layer(x: relax.Expr, depth: int, activation: str = "none", units: int = UNITS, **row_bias: relax.Expr) -> relax.Call:
    """A dense layer with the weight and the bias of its size."""
    packed, constant = relax.const(pack(weight(depth, units), AVX2)), relax.const(bias(units))
    return dense(x, packed, constant, units=units, activation=activation, tiles=AVX2, **row_bias)


class Graph:
    """main(user (R, USER), more (R, USER), item (N, ITEM), item_request (N,)), whose body `body(graph)` emits; gives its results."""

    def __init__(self, body: Callable[[Graph], list[relax.Expr]], *, index: str = "item_request", dtype: str = "int32"):
        requests, items = tirx.Var("R", "int64"), tirx.Var("N", "int64")
        self.user = relax.Var("user", relax.TensorType([requests, USER], "float32"))
        self.more = relax.Var("more", relax.TensorType([requests, USER], "float32"))
        self.item = relax.Var("item", relax.TensorType([items, ITEM], "float32"))
        self.index = relax.Var(index, relax.TensorType([items], dtype))
        self.builder = relax.BlockBuilder()
        with self.builder.function("main", [self.user, self.more, self.item, self.index]):
            with self.builder.dataflow():
                result = self.builder.emit_output(relax.Tuple(body(self)))
            self.builder.emit_func_output(result)
        self.mod = self.builder.get()

    def __call__(self, value: relax.Expr) -> relax.Var:
        """Emit a value."""
        return self.builder.emit(value)

    def take(self, source: relax.Expr, **options) -> relax.Var:
        """The rows of `source` by the index."""
        return self(relax.op.take(source, self.index, **{"axis": 0, "mode": "clip"} | options))

    def concat(self, *values: relax.Expr, axis: int = 1) -> relax.Var:
        """The values side by side."""
        return self(relax.op.concat(list(values), axis=axis))


def hoisted(mod: tvm.IRModule) -> tvm.IRModule:
    return HoistRequestSide()(mod)


def bindings(mod: tvm.IRModule) -> list[relax.Binding]:
    return [binding for block in mod["main"].body.blocks for binding in block.bindings]


def calls(mod: tvm.IRModule) -> list[str]:
    """Operator and number of rows of each call, in order: "rank.dense R"."""
    found = [
        (b.value.op.name.removeprefix("relax."), b.value.ty.shape.values[0].name)
        for b in bindings(mod)
        if isinstance(b.value, relax.Call)
    ]
    return [f"{name} {rows}" for name, rows in found]


class Program:
    """`main` of a module, compiled."""

    def __init__(self, mod: tvm.IRModule):
        target = tvm.target.Target({"kind": "llvm", "mcpu": tvm.get_global_func("target.llvm_get_system_cpu")()})
        self.machine = relax.VirtualMachine(tvm.compile(relax.transform.LegalizeOps()(mod), target=target), tvm.cpu())

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        return [part.numpy() for part in self.machine["main"](*(tvm.runtime.tensor(array) for array in inputs))]


def inputs(requests: int, items: int, dtype: str = "int32") -> list[np.ndarray]:
    """Rows that are all different; the index begins with the last request and runs backwards."""
    rng = np.random.default_rng([requests, items])
    rows = [rng.standard_normal(shape, dtype=np.float32) for shape in ((requests, USER), (requests, USER), (items, ITEM))]
    return [*rows, ((requests - 1 - np.arange(items)) % requests).astype(dtype)]


def assert_same_results(before: tvm.IRModule, after: tvm.IRModule, dtype: str = "int32") -> None:
    """Run both modules for each number of requests and items."""
    programs = [Program(mod) for mod in (before, after)]
    for requests in REQUESTS:
        for items in ITEMS:
            given = inputs(requests, items, dtype)
            results = [program(*given) for program in programs]
            for want, got in zip(*results, strict=True):
                assert want.shape[0] == items
                assert got.shape == want.shape
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
            if requests > 1 and items > requests:  # the result does depend on the rows
                assert all(np.ptp(want, axis=0).max() > 0.01 for want in results[0])


def check(body: Callable[[Graph], list[relax.Expr]], expected: list[str]) -> tvm.IRModule:
    """The module after the pass; it computes what `body` does, by the calls `expected`."""
    before = Graph(body).mod
    after = hoisted(before)
    assert_same_results(before, after)
    assert calls(after) == expected
    return after


def assert_kept(body: Callable[[Graph], list[relax.Expr]], **options) -> None:
    """The pass gives the module that it took."""
    mod = Graph(body, **options).mod
    tvm.ir.assert_structural_equal(hoisted(mod), mod)


# ---- dense layers over both sides


def test_a_layer_over_both_sides_is_split_and_its_activation_comes_last():
    def body(g: Graph):
        return [g(layer(g.concat(g.take(g.user), g.item), USER + ITEM, "relu"))]

    check(body, ["rank.dense R", "rank.dense N"])


def test_the_split_graph_is_exactly_this():
    def before(g: Graph):
        return [g(layer(g.concat(g.take(g.user), g.item), USER + ITEM, "sigmoid"))]

    def expected(g: Graph):
        whole, tiles = weight(USER + ITEM), AVX2
        options = {"units": UNITS, "tiles": tiles}
        part = g(dense(g.user, relax.const(pack(whole[:USER], tiles)), relax.const(bias()), activation="none", **options))
        zeros = relax.const(np.zeros(UNITS, np.float32))
        packed = relax.const(pack(whole[USER:], tiles))
        return [g(dense(g.item, packed, zeros, activation="sigmoid", row_bias=part, row_index=g.index, **options))]

    tvm.ir.assert_structural_equal(hoisted(Graph(before).mod), Graph(expected).mod)


def test_rows_of_the_weight_follow_interleaved_parts():
    def body(g: Graph):
        return [g(layer(g.concat(g.item, g.take(g.user), g.item), USER + 2 * ITEM))]

    check(body, ["rank.dense R", "concat N", "rank.dense N"])


def test_several_request_parts_are_joined_on_their_own_rows():
    def body(g: Graph):
        return [g(layer(g.concat(g.take(g.user), g.item, g.take(g.more)), 2 * USER + ITEM, "tanh"))]

    check(body, ["concat R", "rank.dense R", "rank.dense N"])


def test_nested_concatenations_of_both_sides_are_opened():
    def body(g: Graph):
        inner = g.concat(g.item, g.concat(g.take(g.user), g.item))
        return [g(layer(g.concat(g.take(g.more), inner, axis=-1), 2 * USER + 2 * ITEM))]

    check(body, ["concat R", "rank.dense R", "concat N", "rank.dense N"])


def test_a_nested_concatenation_of_items_stays_whole():
    def body(g: Graph):
        return [g(layer(g.concat(g.concat(g.item, g.item), g.take(g.user)), USER + 2 * ITEM))]

    check(body, ["concat N", "rank.dense R", "rank.dense N"])


def test_layers_over_the_same_parts_share_their_concatenations():
    def body(g: Graph):
        both = g.concat(g.take(g.user), g.item, g.take(g.more), g.item)
        return [g(layer(both, 2 * USER + 2 * ITEM)), g(layer(both, 2 * USER + 2 * ITEM, "tanh", units=1))]

    after = check(body, ["concat R", "rank.dense R", "concat N", "rank.dense N", "rank.dense R", "rank.dense N"])
    assert Counter(calls(after))["concat N"] == 1


def test_another_user_of_the_concatenation_keeps_it():
    def body(g: Graph):
        both = g.concat(g.take(g.user), g.item)
        return [g(layer(both, USER + ITEM)), g(relax.op.nn.relu(both))]

    check(body, ["take N", "concat N", "rank.dense R", "rank.dense N", "nn.relu N"])


def test_a_request_tower_feeds_a_split_layer_without_being_tiled():
    def body(g: Graph):
        tower = g(relax.op.nn.relu(g(layer(g.concat(g.take(g.user), g.take(g.more)), 2 * USER, "tanh"))))
        return [g(layer(g.concat(tower, g.item), UNITS + ITEM, "relu"))]

    check(body, ["concat R", "rank.dense R", "nn.relu R", "rank.dense R", "rank.dense N"])


# ---- what runs on request rows


def test_a_layer_over_the_request_alone_runs_on_its_rows():
    def body(g: Graph):
        return [g(layer(g.take(g.user), USER, "relu"))]

    check(body, ["rank.dense R", "take N"])


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


def test_a_chain_over_two_request_values_is_taken_to_the_items_once():
    def body(g: Graph):
        total = g(relax.op.add(g.take(g.user), g.take(g.more)))
        return [g(relax.op.sigmoid(g(relax.op.nn.relu(total))))]

    check(body, ["add R", "nn.relu R", "sigmoid R", "take N"])


def test_a_request_value_that_both_sides_use_is_taken_where_items_meet_it():
    def body(g: Graph):
        tower = g(layer(g.take(g.user), USER, "relu"))
        items = g(layer(g.item, ITEM, "relu"))
        return [g(relax.op.multiply(tower, items)), g(relax.op.nn.relu(tower))]

    check(body, ["rank.dense R", "take N", "rank.dense N", "multiply N", "nn.relu R", "take N"])


def test_outputs_that_depend_on_the_request_alone_have_a_row_per_item():
    def body(g: Graph):
        taken = g.take(g.user)
        return [taken, g(relax.op.nn.relu(taken)), g(layer(taken, USER)), taken]

    check(body, ["take N", "nn.relu R", "take N", "rank.dense R", "take N"])


def test_vectors_of_one_number_per_request_are_hoisted():
    def body(g: Graph):
        column = g(relax.op.squeeze(g(relax.op.strided_slice(g.user, [1], [0], [1])), axis=[1]))
        return [g(relax.op.add(g.take(column), relax.const(np.ones(1, np.float32))))]

    check(body, ["strided_slice R", "squeeze R", "add R", "take N"])


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
    "reduction": lambda g: [g(relax.op.sum(g.take(g.user), axis=1))],
    "layer-with-a-row-bias": lambda g: [
        g(layer(g.take(g.user), USER, row_bias=g(layer(g.more, USER)), row_index=g.index)),
    ],
    "rows-on-top-of-each-other": lambda g: [g.concat(g.take(g.user), g.take(g.more), axis=0)],
    "index-into-columns": lambda g: [g(relax.op.nn.relu(g.take(g.user, axis=1)))],
    "nan-beyond-the-rows": lambda g: [g(relax.op.nn.relu(g.take(g.user, mode="nan")))],
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_what_is_not_request_side_stays(body: Callable[[Graph], list[relax.Expr]]):
    assert_kept(body)


@pytest.mark.parametrize("options", [{"index": "other"}, {"dtype": "int64"}], ids=["name", "dtype"])
def test_only_the_index_parameter_marks_request_values(options: dict[str, str]):
    assert_kept(lambda g: [g(relax.op.nn.relu(g.take(g.user)))], **options)


def test_another_index_does_not_mark_a_request_value():
    def body(g: Graph):
        other = g(relax.op.add(g.index, relax.const(1, "int32")))
        return [g(relax.op.nn.relu(g(relax.op.take(g.user, other, axis=0, mode="clip"))))]

    assert_kept(body)


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
