"""Graphs over users of R rows and items of N, for the passes that tell the sides apart: built, run and compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import tvm
from tvm import relax, tirx

from te_schedules.dense import GENERIC, pack
from te_schedules.dense.op import dense
from te_schedules.lower import PIPELINE
from tvm_rank.target import resolve

USER, ITEM, UNITS = 5, 3, 20  # widths; UNITS is no multiple of a panel
REQUESTS, ITEMS = (1, 3), (1, 7, 64)
Emit = Callable[..., relax.Expr]
TILES = replace(GENERIC, accumulators=4, max_rows=2, unroll=1, dot_rows=1)
"""Of all layers here: small tiles are little code, and what a pass does is the same for all tiles."""


def weight(depth: int, units: int = UNITS) -> np.ndarray:
    """Numbers that differ in every place."""
    return (np.random.default_rng([depth, units]).permutation(depth * units).reshape(depth, units) / (depth * units)).astype(
        np.float32
    )


def bias(units: int = UNITS) -> np.ndarray:
    return np.linspace(-1, 1, units, dtype=np.float32)


def layer(x: relax.Expr, depth: int, activation: str = "none", units: int = UNITS, **row_bias: relax.Expr) -> relax.Call:
    """A dense layer with the weight and the bias of its size."""
    packed, constant = relax.const(pack(weight(depth, units), TILES)), relax.const(bias(units))
    return dense(x, packed, constant, units=units, activation=activation, tiles=TILES, **row_bias)


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
        target = resolve("cpu").tvm_target
        built = relax.build(relax.transform.LegalizeOps()(mod), target, tir_pipeline=PIPELINE)
        self.machine = relax.VirtualMachine(built, tvm.cpu())

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


Body = Callable[[Graph], list[relax.Expr]]
Pass = Callable[[tvm.IRModule], tvm.IRModule]


def check(rewrite: Pass, body: Body, expected: list[str]) -> tvm.IRModule:
    """The module after a pass; it computes what `body` does, by the calls `expected`."""
    before = Graph(body).mod
    after = rewrite(before)
    assert_same_results(before, after)
    assert calls(after) == expected
    return after


def assert_kept(rewrite: Pass, body: Body, **options) -> None:
    """The pass gives the module that it took."""
    mod = Graph(body, **options).mod
    tvm.ir.assert_structural_equal(rewrite(mod), mod)
