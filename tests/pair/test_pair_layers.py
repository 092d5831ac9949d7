"""rank.pair_layers: the kernel against its reference, types and refusals."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tvm
from tvm import relax, tirx

from te_schedules.dense import AVX2, pack, tiles_for
from te_schedules.lower import PIPELINE
from tvm_rank.ops.pair_layers import Further, pair_layers, reference

HOST = {"kind": "llvm", "mcpu": tvm.get_global_func("target.llvm_get_system_cpu")()}
DEPTH, LENGTH = 7, 5
SHAPES = {
    "one-layer": [(20, "relu")],
    "attention-unit": [(64, "relu"), (32, "relu"), (1, "none")],
    "several-panels": [(130, "none"), (40, "relu")],
    "few-outputs": [(3, "tanh"), (2, "sigmoid")],
}


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def tensor(name: str, shape: list, dtype: str = "float32") -> relax.Var:
    return relax.Var(name, relax.TensorType(shape, dtype))


def weights(layers: list[tuple[int, str]]) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Weight, bias and activation of the layers behind the first one."""
    units = [width for width, _ in layers]
    return [
        (numbers(k, j, seed=1) / np.float32(np.sqrt(k)), numbers(j, seed=2), name)
        for k, (j, name) in zip(units, layers[1:], strict=False)
    ]


def call_of(
    layers: list[tuple[int, str]], tiles, *, taken: bool = True, **others: relax.Expr
) -> tuple[list[relax.Var], relax.Call]:
    """The parameters and a call over them."""
    n, r = tirx.Var("N", "int64"), tirx.Var("R", "int64")
    units, activation = layers[0]
    query, row_bias = tensor("query", [n, DEPTH]), tensor("row_bias", [n, units])
    keys, index = tensor("keys", [r if taken else n, LENGTH, DEPTH]), tensor("index", [n], "int32")
    constants = {name: relax.const(pack(numbers(DEPTH, units, seed=seed), tiles)) for seed, name in ((3, "product"), (4, "direct"))}
    further = [
        Further(relax.const(pack(weight, tiles)), relax.const(bias), len(bias), name) for weight, bias, name in weights(layers)
    ]
    arguments = {"query": query, "keys": keys, "row_bias": row_bias, **others}
    call = pair_layers(
        **arguments, **constants, index=index if taken else None, units=units, activation=activation, further=further, tiles=tiles
    )
    return [query, keys, row_bias, *([index] if taken else [])], call


@functools.cache
def machine(name: str, taken: bool) -> relax.VirtualMachine:
    """The kernel, built by the pipeline that a model takes."""
    params, call = call_of(SHAPES[name], tiles_for(tvm.target.Target(HOST)), taken=taken)
    builder = relax.BlockBuilder()
    with builder.function("main", params):
        builder.emit_func_output(builder.emit(call))
    mod = relax.transform.LegalizeOps()(builder.get())
    return relax.VirtualMachine(relax.build(mod, target=tvm.target.Target(HOST), tir_pipeline=PIPELINE), tvm.cpu())


def inputs(name: str, items: int, requests: int) -> list[np.ndarray]:
    units = SHAPES[name][0][0]
    return [numbers(items, DEPTH, seed=5), numbers(requests, LENGTH, DEPTH, seed=6), numbers(items, units, seed=7)]


def expected(name: str, given: list[np.ndarray], index: np.ndarray | None) -> np.ndarray:
    units, activation = SHAPES[name][0]
    return reference(*given, numbers(DEPTH, units, seed=3), numbers(DEPTH, units, seed=4), activation, weights(SHAPES[name]), index)


def run(name: str, given: list[np.ndarray], index: np.ndarray | None) -> np.ndarray:
    arguments = [*given, *([] if index is None else [index])]
    return machine(name, index is not None)["main"](*(tvm.runtime.tensor(array) for array in arguments)).numpy()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("items", "requests"), [(1, 1), (7, 3), (64, 1)])
def test_pairs_of_items_and_the_positions_of_their_request_give_the_reference(name, items, requests):
    given = inputs(name, items, requests)
    index = (np.arange(items) % requests)[::-1].astype(np.int32)
    np.testing.assert_allclose(run(name, given, index), expected(name, given, index), rtol=2e-5, atol=2e-4)


def test_keys_of_the_items_themselves_need_no_index():
    given = inputs("attention-unit", 9, 9)
    np.testing.assert_allclose(run("attention-unit", given, None), expected("attention-unit", given, None), rtol=2e-5, atol=2e-4)


def test_an_index_out_of_range_takes_the_nearest_request():
    given, index = inputs("one-layer", 4, 3), np.array([-1, 3, 2**31 - 1, -(2**31)], np.int32)
    nearest = np.array([0, 2, 2, 0], np.int32)
    np.testing.assert_array_equal(run("one-layer", given, index), run("one-layer", given, nearest))


def test_the_reference_is_the_unsplit_layer_of_query_key_difference_and_product():
    q, k, w = numbers(3, DEPTH), numbers(2, LENGTH, DEPTH), numbers(4 * DEPTH, 6)
    index = np.array([1, 0, 1], np.int32)
    tiled, keys = np.broadcast_to(q[:, None], (3, LENGTH, DEPTH)), k[index]
    want = np.maximum(np.concatenate([tiled, keys, tiled - keys, tiled * keys], axis=2) @ w, 0)
    parts = [w[i * DEPTH : (i + 1) * DEPTH] for i in range(4)]
    got = reference(q, k, q @ (parts[0] + parts[2]), parts[3], parts[1] - parts[2], "relu", index=index)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("query", [4, DEPTH + 1]), ("row_bias", [4, 3]), ("keys", [2, LENGTH, DEPTH, 1]), ("query", [4, DEPTH + 2])],
)
def test_wrong_extents_are_refused_by_name(name, shape):
    with pytest.raises(TypeError, match=name):
        relax.BlockBuilder().normalize(call_of([(20, "relu")], AVX2, **{name: tensor(name, shape)})[1])
