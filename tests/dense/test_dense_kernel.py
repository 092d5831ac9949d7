"""The kernels of the dense layer, against the reference, for each instruction set."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import tvm
from dense_oracle import AARCH64, AVX2, AVX512, SSE2, assert_is_reference, compiled, cpu_has, random_layer, run

from te_schedules import dense as package
from te_schedules.dense import ACTIVATIONS, Layer, dense_func, pack, tiles_for
from tvm_rank.ops.dense import reference

ROWS = (0, 1, 2, 3, 4, 5, 6, 7, 11, 64, 100, 256, 1000)
SHAPES = [
    pytest.param(1, 1, id="one-number"),
    pytest.param(33, 1, id="last-layer"),
    pytest.param(21, 20, id="less-than-two-vectors"),
    pytest.param(37, 96, id="equal-panels"),
    pytest.param(19, 101, id="narrow-last-panel"),
]
WIDE_SHAPES = [
    pytest.param(64, 7, id="dot-three-blocks"),
    pytest.param(40, 10, id="less-than-a-vector"),
    pytest.param(893, 64, id="prefetched-panel"),
]
TARGETS = [
    pytest.param(target, id=target["mcpu"], marks=pytest.mark.skipif(not cpu_has(target), reason="this CPU lacks the instructions"))
    for target in (AVX512, AVX2, SSE2)
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("depth", "units"), SHAPES)
def test_every_number_of_rows_gives_the_reference(target, depth, units):
    for rows in ROWS:
        layer = random_layer(rows, depth, units, seed=rows)
        assert_is_reference(run(target, *layer, "relu"), *layer, "relu")


@pytest.mark.parametrize("target", TARGETS[:1])
@pytest.mark.parametrize(("depth", "units"), WIDE_SHAPES)
def test_every_number_of_rows_gives_the_reference_in_the_widest_registers(target, depth, units):
    for rows in ROWS:
        layer = random_layer(rows, depth, units, seed=rows)
        assert_is_reference(run(target, *layer, "relu"), *layer, "relu")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("units", [2, 37])
@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"none"}))
def test_activations_follow_numpy_over_the_whole_range(target, units, activation):
    values = np.concatenate([np.linspace(-120, 120, 2001), [0.0, 1e-6, -1e-6, 88.5, -88.5, 3e38, -3e38, np.inf, -np.inf, np.nan]])
    x = values.astype(np.float32)[:, None]
    weight, bias = np.ones((1, units), np.float32), np.zeros(units, np.float32)
    got, want = run(target, x, weight, bias, activation), reference(x, weight, bias, activation)
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-37)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("units", [3, 20])
def test_a_bias_chosen_by_row_is_added(target, units):
    x, weight, bias = random_layer(50, 24, units)
    rng = np.random.default_rng(1)
    row_bias = rng.normal(size=(6, units)).astype(np.float32)
    row_index = rng.integers(0, 6, 50).astype(np.int32)
    layer = (x, weight, bias, "tanh", row_bias, row_index)
    assert_is_reference(run(target, *layer), *layer)
    assert np.abs(reference(*layer) - reference(x, weight, bias, "tanh")).max() > 0.1


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("units", [3, 20])
def test_two_biases_are_chosen_by_indices_of_their_own(target, units):
    rng = np.random.default_rng(2)
    biases = [rng.normal(size=(rows, units)).astype(np.float32) for rows in (6, 11)]
    indices = [rng.integers(-2, len(rows) + 2, 50).astype(np.int32) for rows in biases]
    layer = (*random_layer(50, 24, units), "relu", biases[0], indices[0], biases[1], indices[1])
    assert_is_reference(run(target, *layer), *layer)
    assert np.abs(reference(*layer) - reference(*layer[:6])).max() > 0.1


def test_an_index_out_of_range_takes_the_nearest_row():
    x, weight, bias = random_layer(4, 8, 20)
    row_bias = np.arange(60, dtype=np.float32).reshape(3, 20)
    row_index = np.array([-1, 3, 2**31 - 1, -(2**31)], np.int32)
    layer = (x, weight, bias, "none", row_bias, row_index)
    got = run(SSE2, *layer)
    assert_is_reference(got, *layer)
    np.testing.assert_allclose(got - run(SSE2, x, weight, bias, "none"), row_bias[[0, 2, 2, 0]], atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("units", [3, 20])
def test_nan_and_infinity_stay_in_their_row(target, units):
    x, weight, bias = random_layer(9, 21, units)
    x[1, 20], x[4, 0], x[6, 3] = np.nan, np.inf, -np.inf
    assert_is_reference(run(target, x, weight, bias, "relu"), x, weight, bias, "relu")
    assert np.isnan(run(target, x, weight, bias, "relu")).any(axis=1).tolist() == [row == 1 for row in range(9)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("units", [3, 20])
def test_infinite_weights_do_not_reach_other_columns(target, units):
    x, weight, bias = random_layer(9, 21, units)
    weight[5, units - 1], bias[0] = np.inf, np.nan
    assert_is_reference(run(target, x, weight, bias, "relu"), x, weight, bias, "relu")


@pytest.mark.parametrize("target", TARGETS)
def test_arrays_need_not_begin_at_a_vector_boundary(target):
    x, weight, bias = random_layer(13, 21, 20)
    for offset in (1, 2, 3):
        memory = np.empty(x.size + 8, np.float32)
        shifted = memory[offset : offset + x.size].reshape(x.shape)
        shifted[:] = x
        assert_is_reference(run(target, shifted, weight, bias, "relu"), x, weight, bias, "relu")


@pytest.mark.parametrize("units", [2, 5, 200])
def test_a_call_above_the_grain_gives_the_same_bits_on_the_thread_pool(units):
    layer = random_layer(301, 50, units)
    tiles = dataclasses.replace(tiles_for(tvm.target.Target(SSE2)), chunk_bytes=50 * 4 * 16)
    alone = run(SSE2, *layer, "sigmoid", tiles=tiles)
    together = run(SSE2, *layer, "sigmoid", tiles=dataclasses.replace(tiles, grain_flops=0))
    assert_is_reference(together, *layer, "sigmoid")
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("rows", [1, 5, 64])
@pytest.mark.parametrize(
    "knobs", [{"vectors": 1}, {"vectors": 3}, {"unroll": 5}, {"unroll": 1, "prefetch_steps": 3}, {"max_rows": 1}]
)
def test_knobs_change_the_speed_and_not_the_result(rows, knobs):
    layer = random_layer(rows, 23, 50)
    tiles = dataclasses.replace(tiles_for(tvm.target.Target(SSE2)), **knobs)
    assert_is_reference(run(SSE2, *layer, "relu", tiles=tiles), *layer, "relu")


def test_avx512_sums_stay_in_the_wide_registers():
    tiles = tiles_for(tvm.target.Target(AVX512))
    assembly = compiled("cascadelake", 893, 512, "relu", False, tiles).mod.inspect_source("s")
    loops = [loop for loop in innermost_loops(assembly) if loop.count("vfmadd") == tiles.accumulators * tiles.unroll]
    assert loops, "no loop holds a whole tile"
    for loop in loops:
        assert all("zmm" in line for line in loop.splitlines() if "vfmadd" in line)
        assert "rsp" not in loop, "the inner loop spills"


def test_no_kernel_asks_the_heap_for_memory():
    for units in (7, 101):
        built = compiled("cascadelake", 64, units, "tanh", False, tiles_for(tvm.target.Target(AVX512)))
        assert "AllocWorkspace" not in built.mod.inspect_source("ll")


def innermost_loops(assembly: str) -> list[str]:
    """The blocks that jump back to their own label, up to that jump."""
    return [match.group() for match in re.finditer(r"^(\.L\w+):(?:\n(?!\.L).*)*?\n\s+j\w+\s+\1$", assembly, re.MULTILINE)]


def test_the_kernel_compiles_for_aarch64():
    target = tvm.target.Target(AARCH64)
    layer = Layer(depth=64, units=100, activation="tanh", has_row_bias=True, tiles=tiles_for(target))
    built = tvm.compile(tvm.IRModule({"main": dense_func(layer).with_attr("global_symbol", "main")}), target=target)
    assembly = built.mod.inspect_source("s")
    tile = layer.tile_rows(layer.width) * layer.width // layer.tiles.lanes
    blocks = re.split(r"\n(?=\.L\w+:)", assembly)
    whole = [block for block in blocks if block.count("fmla") == tile * layer.tiles.unroll]
    assert whole, "no loop holds a whole tile"
    assert all("[sp" not in line for block in whole for line in block.splitlines() if "fmla" in line)


def test_tiles_follow_the_features_of_the_target():
    expected = {"cascadelake": "AVX512", "x86-64-v4": "AVX512", "haswell": "AVX2", "x86-64-v3": "AVX2", "x86-64": "GENERIC"}
    for mcpu, name in expected.items():
        assert tiles_for(tvm.target.Target({"kind": "llvm", "mcpu": mcpu})) is getattr(package, name)
    assert tiles_for(tvm.target.Target(AARCH64)) is package.NEON
    assert tiles_for(None) is package.GENERIC


def test_a_target_that_is_no_cpu_is_refused():
    with pytest.raises(ValueError, match="CPU kernels only; the target is 'cuda'"):
        tiles_for(tvm.target.Target({"kind": "cuda", "arch": "sm_90"}))


def test_knobs_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"DenseTiles.vectors is 0"):
        dataclasses.replace(package.AVX2, vectors=0)
    with pytest.raises(ValueError, match="power of two"):
        dataclasses.replace(package.AVX2, lanes=12)


def test_pack_pads_the_last_panel_with_zeros():
    weight = np.arange(1, 2 * 20 + 1, dtype=np.float32).reshape(2, 20)
    packed = pack(weight, dataclasses.replace(package.GENERIC, lanes=4, vectors=3))
    assert packed.shape == (2, 2, 12)
    np.testing.assert_array_equal(packed[0, 1], weight[1, :12])
    np.testing.assert_array_equal(packed[1, 0], [*weight[0, 12:], 0, 0, 0, 0])


def test_pack_transposes_for_few_outputs_and_refuses_other_arrays():
    weight = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(pack(weight, package.AVX512)[:, :, 0], weight.T)
    with pytest.raises(ValueError, match=r"float64 of shape \(3, 2\)"):
        pack(weight.astype(np.float64), package.AVX512)


def test_the_reference_on_numbers_worked_by_hand():
    x, weight, bias = (
        np.array([[1, 2]], np.float32),
        np.array([[1, 0, 3], [-1, 2, 0]], np.float32),
        np.array([0, 1, -3], np.float32),
    )
    np.testing.assert_array_equal(reference(x, weight, bias, "none"), [[-1, 5, 0]])
    np.testing.assert_array_equal(reference(x, weight, bias, "relu"), [[0, 5, 0]])
    np.testing.assert_array_equal(reference(x, weight, bias, "sigmoid")[0, 2], 0.5)
    chosen = reference(x, weight, bias, "none", np.array([[9, 9, 9], [10, 20, 30]], np.float32), np.array([1], np.int32))
    np.testing.assert_array_equal(chosen, [[9, 25, 30]])


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation 'gelu' is unknown; known are none, relu, sigmoid, tanh"):
        Layer(depth=1, units=1, activation="gelu", has_row_bias=False, tiles=package.AVX2)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("depth", "units"), [(67, 40), (64, 101), (129, 16)])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "none"])
def test_a_deep_layer_is_summed_part_by_part(target, depth, units, activation):
    tiles = dataclasses.replace(tiles_for(tvm.target.Target(target)), depth_block=16, chunk_bytes=16 * 4 * 12)
    layer = Layer(depth=depth, units=units, activation=activation, has_row_bias=False, tiles=tiles)
    assert layer.depth_steps < depth
    assert layer.depth_steps % tiles.unroll == 0
    for rows in (0, 1, 5, 12, 29):
        x, weight, bias = random_layer(rows, depth, units, seed=rows)
        assert_is_reference(run(target, x, weight, bias, activation, tiles=tiles), x, weight, bias, activation)


def test_a_deep_layer_adds_the_bias_of_a_row_once():
    tiles = dataclasses.replace(tiles_for(tvm.target.Target(SSE2)), depth_block=16)
    x, weight, bias = random_layer(9, 70, 24)
    row_bias, row_index = np.arange(48, dtype=np.float32).reshape(2, 24), (np.arange(9) % 2).astype(np.int32)
    layer = (x, weight, bias, "relu", row_bias, row_index)
    assert_is_reference(run(SSE2, *layer, tiles=tiles), *layer)
