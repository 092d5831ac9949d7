"""SplitPairs: an attention unit over items and a click sequence gives the same results, and pays only its product for each pair."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tvm
from sided_graph import TILES, Program, bindings, weight
from tvm import relax, tirx

from relay_passes.fuse_dense import FuseDense
from relay_passes.graph import op_name
from relay_passes.hoist_request_side import HoistRequestSide
from relay_passes.split_dense import SplitDense
from relay_passes.split_pairs import SplitPairs
from relay_passes.tile_layers import TileLayers
from te_schedules.dense import AVX2
from te_schedules.pair.op import layers_of

USER, K, L = 3, 6, 5  # columns of the user, of query and key; positions
SIZES = ((1, 1), (1, 9), (3, 7))
Emit = Callable[[relax.Expr], relax.Var]
PASSES = {
    "hoist": HoistRequestSide(),
    "fuse": FuseDense(TILES),
    "pairs": SplitPairs(TILES),
    "dense": SplitDense(),
}


class Attention:
    """main(user (R, USER), click (R, L, K), own (N, L, K), item (N, K), item_request (N,)); `body(graph)` emits and gives its result."""

    def __init__(self, body: Callable[[Attention], relax.Expr]):
        self.requests, self.items = tirx.Var("R", "int64"), tirx.Var("N", "int64")
        r, n = self.requests, self.items
        shapes = {"user": [r, USER], "click": [r, L, K], "own": [n, L, K], "item": [n, K]}
        self.params = {name: relax.Var(name, relax.TensorType(shape, "float32")) for name, shape in shapes.items()}
        self.index = relax.Var("item_request", relax.TensorType([n], "int32"))
        self.emit = relax.BlockBuilder()
        with self.emit.function("main", [*self.params.values(), self.index]):
            with self.emit.dataflow():
                result = self.emit.emit_output(relax.Tuple([body(self)]))
            self.emit.emit_func_output(result)
        self.mod = self.emit.get()

    def __call__(self, value: relax.Expr) -> relax.Var:
        return self.emit.emit(value)

    def take(self, name: str) -> relax.Var:
        return self(relax.op.take(self.params[name], self.index, axis=0, mode="clip"))

    def query(self, expanded: bool = True) -> relax.Var:
        """The item as (N, L, K), or as (N, 1, K)."""
        row = self(relax.op.expand_dims(self.params["item"], axis=[1]))
        return self(relax.op.broadcast_to(row, relax.ShapeExpr([self.items, L, K]))) if expanded else row

    def layer(self, x: relax.Expr, units: int, activation: Callable | None = relax.op.nn.relu) -> relax.Var:
        depth = int(x.ty.shape.values[-1])
        total = self(relax.op.add(self(relax.op.matmul(x, relax.const(weight(depth, units)))), relax.const(weight(1, units)[0])))
        return total if activation is None else self(activation(total))

    def pair(self, q: relax.Var, k: relax.Var) -> relax.Var:
        """concat(q, k, q - k, q * k)"""
        return self(relax.op.concat([q, k, self(relax.op.subtract(q, k)), self(relax.op.multiply(q, k))], axis=2))

    def pooled(self, weights: relax.Var, keys: relax.Var) -> relax.Var:
        """The sum over positions, (N, K)."""
        row = self(relax.op.expand_dims(self(relax.op.squeeze(weights, axis=[2])), axis=[1]))
        return self(relax.op.squeeze(self(relax.op.matmul(row, keys)), axis=[1]))


def attention_unit(g: Attention) -> relax.Expr:
    """DIN: two layers and a weight for each position, softmax, pooling, and a layer over everything."""
    keys = g.take("click")
    hidden = g.layer(g.layer(g.pair(g.query(), keys), 20), 18)
    weights = g(relax.op.nn.softmax(g.layer(hidden, 1, None), axis=1))
    whole = g(relax.op.concat([g.take("user"), g.pooled(weights, keys), g.params["item"]], axis=1))
    return g.layer(whole, 17, relax.op.sigmoid)


def rewritten(mod: tvm.IRModule, names: tuple[str, ...] = tuple(PASSES)) -> tvm.IRModule:
    return tvm.transform.Sequential([PASSES[name] for name in names])(mod)


def operators(mod: tvm.IRModule) -> list[str]:
    return [b.value.op.name.removeprefix("relax.") for b in bindings(mod) if isinstance(b.value, relax.Call)]


def given(requests: int, items: int) -> list[np.ndarray]:
    rng = np.random.default_rng([requests, items])
    shapes = ((requests, USER), (requests, L, K), (items, L, K), (items, K))
    index = ((requests - 1 - np.arange(items)) % requests).astype(np.int32)
    return [*(rng.standard_normal(shape, dtype=np.float32) for shape in shapes), index]


KNOWN: dict[str, list[np.ndarray]] = {}  # a module as text -> its results: many combinations give the same module


def results(mod: tvm.IRModule) -> list[np.ndarray]:
    """What the module computes for each of SIZES."""
    key = tvm.ir.save_json(mod)
    if key not in KNOWN:
        program = Program(mod)
        KNOWN[key] = [program(*given(requests, items))[0] for requests, items in SIZES]
    return KNOWN[key]


def assert_same_results(before: tvm.IRModule, after: tvm.IRModule) -> None:
    for want, got in zip(results(before), results(after), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def check(body: Callable[[Attention], relax.Expr]) -> list[str]:
    """The operators after the passes, which compute what `body` does."""
    before = Attention(body).mod
    after = rewritten(before)
    assert_same_results(before, after)
    return operators(after)


def test_the_layers_of_an_attention_unit_become_one_kernel_over_pairs_and_keys_are_never_tiled():
    found = check(attention_unit)
    assert found.count("rank.pair_layers") == found.count("rank.pair_pool") == 1
    assert not {"take", "broadcast_to", "multiply", "subtract", "matmul"} & set(found)
    assert found.count("rank.dense") == 3  # the item's part of the unit; the user's and the item's part of the last layer


@pytest.mark.parametrize("names", [c for count in range(5) for c in itertools.combinations(PASSES, count)], ids="-".join)
def test_every_combination_of_the_passes_gives_the_same_scores(names: tuple[str, ...]):
    before = Attention(attention_unit).mod
    assert_same_results(before, rewritten(before, names))


def test_units_and_layers_are_tiled_by_their_names():
    before = rewritten(Attention(attention_unit).mod)
    names = {layers_of(b.value).name for b in bindings(before) if op_name(b.value) == "rank.pair_layers"}
    after = TileLayers(dict.fromkeys([*names, f"dense_{USER}x17_none"], AVX2))(before)
    calls = [b.value for b in bindings(after) if op_name(b.value) in ("rank.dense", "rank.pair_layers")]
    lanes = [(call.op.name, int(call.attrs["tiles"]["lanes"])) for call in calls]
    assert sorted(lanes) == [("rank.dense", 4), ("rank.dense", 4), ("rank.dense", 8), ("rank.pair_layers", 8)]
    assert_same_results(before, after)
    assert TileLayers({"dense_1x1_none": AVX2})(before).same_as(before)


def test_the_parts_of_the_first_layer_are_exactly_these():
    mod = rewritten(Attention(lambda g: g.layer(g.pair(g.query(), g.take("click")), 20)).mod)
    (call,) = [b.value for b in bindings(mod) if isinstance(b.value, relax.Call) and b.value.op.name == "rank.pair_layers"]
    first, second, third, fourth = (weight(4 * K, 20)[k * K : (k + 1) * K] for k in range(4))
    product, direct = (np.moveaxis(call.args[k].value.numpy(), 0, 1).reshape(K, -1)[:, :20] for k in (3, 4))
    np.testing.assert_array_equal(product, fourth)
    np.testing.assert_allclose(direct, second - third, rtol=1e-6)
    assert [call.args[k].name_hint if hasattr(call.args[k], "name_hint") else call.args[k].name for k in (0, 1)] == [
        "item",
        "click",
    ]
    (bias,) = [b.value for b in bindings(mod) if isinstance(b.value, relax.Call) and b.value.op.name == "rank.dense"]
    np.testing.assert_allclose(np.moveaxis(bias.args[1].value.numpy(), 0, 1).reshape(K, -1)[:, :20], first + third, rtol=1e-6)


UNITS = {
    "sequence-of-the-item": lambda g: g.layer(g.pair(g.query(), g.params["own"]), 20),
    "query-behind": lambda g: g.layer(
        g(relax.op.concat([g.take("click"), g(relax.op.multiply(g.take("click"), g.query()))], axis=2)), 9
    ),
    "product-alone": lambda g: g.layer(g(relax.op.multiply(g.query(), g.take("click"))), 9),
    "query-not-expanded": lambda g: g.layer(g(relax.op.multiply(g.query(expanded=False), g.take("click"))), 9),
    "scaled": lambda g: g.layer(g(relax.op.multiply(g.pair(g.query(), g.take("click")), relax.const(np.float32(0.5)))), 9),
    "few-outputs": lambda g: g.layer(g.layer(g.pair(g.query(), g.take("click")), 4, relax.op.tanh), 2, relax.op.sigmoid),
}


@pytest.mark.parametrize("body", UNITS.values(), ids=UNITS)
def test_other_forms_of_the_unit_are_found(body: Callable[[Attention], relax.Expr]):
    assert "rank.pair_layers" in check(body)


def _used_twice(g: Attention) -> relax.Expr:
    hidden = g.layer(g.pair(g.query(), g.take("click")), 20)
    return g(relax.op.concat([g.layer(hidden, 4), hidden], axis=2))


def _two_products(g: Attention) -> relax.Expr:
    q, k = g.query(), g.take("click")
    return g.layer(g(relax.op.concat([g(relax.op.multiply(q, k)), g(relax.op.multiply(q, g.params["own"]))], axis=2)), 9)


KEPT = {
    "no-product": lambda g: g.layer(g(relax.op.concat([g.query(), g.take("click")], axis=2)), 9),
    "two-products": _two_products,
    "two-sequences": lambda g: g.layer(
        g(relax.op.concat([g.params["own"], g(relax.op.multiply(g.query(), g.take("click")))], axis=2)), 9
    ),
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_what_is_no_such_unit_is_left_alone(body: Callable[[Attention], relax.Expr]):
    assert "rank.pair_layers" not in check(body)


def test_a_value_between_the_layers_that_something_else_reads_ends_the_unit():
    found = check(_used_twice)
    assert found.count("rank.pair_layers") == found.count("rank.dense") - 1 == 1


def test_one_item_may_have_one_position():
    def body(g: Attention) -> relax.Expr:
        one = g(relax.op.strided_slice(g.params["own"], [1], [0], [1]))
        return g.pooled(g.layer(one, 1, None), one)

    check(body)
