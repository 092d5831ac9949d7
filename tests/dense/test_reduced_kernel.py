"""Dense layers in bf16 and int8, against the reference, for each instruction set."""

from __future__ import annotations

import dataclasses
import functools
from unittest import mock

import intel_manual
import numpy as np
import pytest
import tvm
from dense_oracle import AVX2, AVX512, SSE2, cpu_has, host
from hypothesis import given, settings
from hypothesis import strategies as st

from te_schedules.dense import Layer, dense_func, tiles_for
from te_schedules.dense.reduced.pack import bf16_bits, pack_bf16, pack_int8
from te_schedules.dense.reduced.products import PRODUCTS, products_for
from te_schedules.dense.reduced.rows import rows_func
from te_schedules.lower import PIPELINE
from tvm_rank.ops.reduced_dense import int8_rows, reference

ROWS = (0, 1, 7, 64, 1000)
SHAPES = [(37, 20), (64, 96), (569, 65)]
AVX512_BF16 = {"kind": "llvm", "mcpu": "cooperlake"}
MANUAL = {"pairs": dataclasses.replace(PRODUCTS["pairs"], feature=None, imports=intel_manual.PAIRS)}  # by any CPU with AVX-512
FORMS = {  # precision -> form -> the targets by whose code it is run
    "int8": {"vnni": [AVX512], "plain": [AVX512, AVX2, SSE2]},
    "bf16": {"pairs": [AVX512, AVX512_BF16], "widened": [AVX512, AVX2, SSE2]},
}
KERNELS = [
    pytest.param((precision, form, target["mcpu"]), id=f"{precision}-{form}-{target['mcpu']}")
    for precision, forms in FORMS.items()
    for form, targets in forms.items()
    for target in targets
]


def _forms(mcpu: str) -> dict:
    """The forms as a target has them; by the manual what AVX512 lacks."""
    return PRODUCTS | (MANUAL if mcpu == AVX512["mcpu"] else {})


def _runs(form: str, mcpu: str) -> bool:
    feature = _forms(mcpu)[form].feature
    here = tvm.target.Target(host())
    return cpu_has({"mcpu": mcpu}) and (feature is None or bool(tvm.get_global_func("target.target_has_feature")(feature, here)))


@functools.cache
def _built(precision: str, form: str, mcpu: str, depth: int, units: int, activation: str, biases: int):
    target = tvm.target.Target({"kind": "llvm", "mcpu": mcpu})
    layer = Layer(depth=depth, units=units, activation=activation, has_row_bias=biases > 0, has_item_bias=biases > 1,
                  tiles=tiles_for(target), precision=precision, products=form)  # fmt: skip
    with mock.patch.dict(PRODUCTS, _forms(mcpu)):
        kernels = {"dense": dense_func(layer, "dense"), "rows": rows_func(depth, precision, "rows", products=form)}
    return layer, tvm.tirx.build(tvm.IRModule(kernels), target=target, pipeline=PIPELINE)


def _run(kernel: tuple, x, weight, bias, activation="relu", factors=None, **biases):
    """(words, levels or None, out) of the kernels; the output is surrounded by guards, which must stay as they are."""
    precision, form, mcpu = kernel
    layer, built = _built(precision, form, mcpu, *weight.shape, activation, len(biases) // 2)
    guarded = np.full(len(x) * len(bias) + 64, 7.0, np.float32)
    out = guarded[32:-32].reshape(len(x), len(bias))
    words, levels = np.full((len(x), layer.words), -1, np.int32), np.zeros((len(x), 2), np.float32)
    factors = np.ones(len(weight), np.float32) if factors is None else factors
    if precision == "int8":
        kept = pack_int8(weight / factors[:, None], layer.tiles, form)
        _call(built["rows"], x, factors, words, levels)
        _call(built["dense"], words, levels, kept.packed, kept.factors, kept.totals, bias, *biases.values(), out)
    else:
        _call(built["rows"], x, factors, words)
        _call(built["dense"], words, pack_bf16(weight, layer.tiles), bias, *biases.values(), out)
    assert (guarded[:32] == 7).all()
    assert (guarded[-32:] == 7).all()
    return words, levels, out


def _call(function, *arrays: np.ndarray) -> None:
    """NumPy's empty arrays have strides that TVM refuses."""
    function(*(tvm.runtime.tensor(a) if a.size == 0 else a for a in arrays))


def _layer(rows: int, depth: int, units: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in ((rows, depth), (depth, units), (units,)))


def _assert_close(got, want, x, weight, precision: str) -> None:
    """Words may round to a neighbour where two are equally near: one level of a row in few of its numbers."""
    span = np.ptp(np.c_[x, np.zeros(len(x), np.float32)], axis=1, keepdims=True) if precision == "int8" else np.zeros((len(x), 1))
    allowed = span / 255 * np.abs(weight).max(initial=0) + 1e-5 * (np.abs(x) @ np.abs(weight) + 1)
    assert (np.abs(got - want) <= allowed).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("depth", "units"), SHAPES)
def test_every_number_of_rows_gives_the_reference(kernel, depth, units):
    if not _runs(*kernel[1:]):
        pytest.skip("this CPU lacks the instructions")
    for rows in ROWS if depth < 100 else (1, 64):
        x, weight, bias = _layer(rows, depth, units, rows)
        *_, got = _run(kernel, x, weight, bias)
        _assert_close(got, reference(x, weight, bias, "relu", kernel[0]), x, weight, kernel[0])


@pytest.mark.parametrize("kernel", [k for k in KERNELS if "pairs" not in k.id])  # what is behind the sums is that of "widened"
def test_biases_are_chosen_by_row_and_activations_applied(kernel):
    if not _runs(*kernel[1:]):
        pytest.skip("this CPU lacks the instructions")
    x, weight, bias = _layer(50, 24, 20)
    rng = np.random.default_rng(1)
    biases = {f"{n}_bias": rng.normal(size=(rows, 20)).astype(np.float32) for n, rows in (("row", 6), ("item", 11))}
    indices = {f"{n}_index": rng.integers(-2, 13, 50).astype(np.int32) for n in ("row", "item")}
    both = {name: (biases | indices)[name] for name in ("row_bias", "row_index", "item_bias", "item_index")}
    for given_biases in ({}, dict(list(both.items())[:2]), both):
        *_, got = _run(kernel, x, weight, bias, "tanh", **given_biases)
        _assert_close(got, reference(x, weight, bias, "tanh", kernel[0], **given_biases), x, weight, kernel[0])


@pytest.mark.parametrize("kernel", [k for k in KERNELS if "int8" in k.id])
def test_rows_of_extremes_keep_to_the_reference(kernel):
    if not _runs(*kernel[1:]):
        pytest.skip("this CPU lacks the instructions")
    x, weight, bias = _layer(9, 37, 20)
    x[0], x[1], x[2] = 0, 1e-38, 1e30
    x[3, 4], x[4, 36], x[5, 0] = np.nan, np.inf, -np.inf
    x[6], x[7], x[8, ::2] = np.abs(x[6]), -np.abs(x[7]), 0
    _words, levels, got = _run(kernel, x, weight, bias, "none")
    want = reference(x, weight, bias, "none", "int8")
    assert np.isnan(got[3:6]).all()
    fine = [0, 1, 2, 6, 7, 8]
    _assert_close(got[fine], want[fine], x[fine], weight, "int8")
    assert (levels[:2, 0] == 1).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100),
        min_size=37,
        max_size=37,
    )
)
def test_levels_of_a_row_are_those_of_the_reference(numbers):
    x = np.array([numbers], np.float32)
    words, levels, _ = _run(("int8", "plain", "x86-64"), x, np.ones((37, 20), np.float32), np.zeros(20, np.float32))
    q, scale, zero = int8_rows(x, np.ones(37, np.float32))
    assert np.abs(words.view(np.uint8)[0, :37].astype(int) - q[0]).max() <= 1
    np.testing.assert_allclose(levels[0, 0], scale[0], rtol=1e-6)
    assert levels[0, 1] == zero[0]


def test_all_forms_of_int8_sum_the_same_integers():
    x, weight, bias = _layer(64, 569, 65)
    found = [_run(k.values[0], x, weight, bias, "none") for k in KERNELS if "int8" in k.id and _runs(*k.values[0][1:])]
    for words, levels, out in found[1:]:
        assert np.abs(words.view(np.uint8).astype(int) - found[0][0].view(np.uint8)).max() <= 1
        np.testing.assert_allclose(levels, found[0][1], rtol=1e-6)
        np.testing.assert_allclose(out, found[0][2], rtol=1e-3, atol=0.5)


def test_factors_bring_inputs_of_different_size_to_the_same_levels():
    x, weight, bias = _layer(64, 64, 32)
    x[:, 0] *= 1000
    weight[0] /= 1000
    exact = x.astype(np.float64) @ weight + bias
    factors = (1 / np.abs(x).max(axis=0)).astype(np.float32)
    kernel = ("int8", "plain", "x86-64")
    plain, even = (np.abs(_run(kernel, x, weight, bias, "none", f)[2] - exact).max() for f in (None, factors))
    assert even < plain / 20


@pytest.mark.parametrize("kernel", [k for k in KERNELS if "bf16" in k.id])
def test_bf16_rounds_to_nearest_even_and_keeps_nan(kernel):
    if not _runs(*kernel[1:]):
        pytest.skip("this CPU lacks the instructions")
    bits = [0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0xFFC00000, 0x80000001, 0x00800000, 0x00410000]
    x = np.array(bits, np.uint32).view(np.float32)
    want = bf16_bits(x)
    if kernel[1] == "pairs":
        want[-1] = 0  # denormal numbers are
    words, *_ = _run(kernel, x.reshape(-1, 1), np.ones((1, 20), np.float32), np.zeros(20, np.float32))
    np.testing.assert_array_equal(words.view(np.uint16)[:, 0], want)
    assert np.isnan((want.astype(np.uint32) << 16).view(np.float32)).tolist() == np.isnan(x).tolist()


@pytest.mark.parametrize("exponents", [(0, 1), (-60, 60), (-74, -55), (60, 64)], ids=["plain", "wide", "tiny", "huge"])
@pytest.mark.parametrize("extents", [(1, 1, 20), (7, 37, 33), (64, 893, 65)])
def test_the_instructions_do_what_the_manual_says_to_the_bit(extents: tuple[int, int, int], exponents: tuple[int, int]):
    by_manual, by_cpu = ("bf16", "pairs", AVX512["mcpu"]), ("bf16", "pairs", AVX512_BF16["mcpu"])
    if not _runs(*by_cpu[1:]):
        pytest.skip("this CPU lacks the instructions")
    x, weight, _ = _layer(*extents)
    rng, bias = np.random.default_rng(1), np.zeros(extents[2], np.float32)
    x, weight = (np.ldexp(array, rng.integers(*exponents, array.shape, np.int32)) for array in (x, weight))
    x[rng.random(x.shape) < 0.01], x[:1, :1] = 1e-40, -0.0
    if len(x) > 2:
        x[1, 0], x[2, 0] = np.nan, np.inf
    of_manual, of_cpu = (_run(kernel, x, weight, bias, "none") for kernel in (by_manual, by_cpu))
    np.testing.assert_array_equal(of_cpu[0], of_manual[0])
    np.testing.assert_array_equal(np.isnan(of_cpu[2]), np.isnan(of_manual[2]))
    known = ~np.isnan(of_cpu[2])
    np.testing.assert_array_equal(of_cpu[2][known].view(np.int32), of_manual[2][known].view(np.int32))


def test_bytes_are_multiplied_by_the_instruction_for_them():
    _, built = _built("int8", "vnni", "cascadelake", 64, 96, "relu", 0)
    assert "vpdpbusd" in built.inspect_source("asm")


def test_pairs_are_multiplied_by_the_instruction_for_them():
    _, built = _built("bf16", "pairs", "cooperlake", 64, 96, "relu", 0)
    assert {"vdpbf16ps", "vcvtneps2bf16"} <= set(built.inspect_source("asm").split())


def test_pairs_take_denormal_numbers_for_zero_and_add_the_upper_product_first():
    kernel, tiny, bias = ("bf16", "pairs", AVX512["mcpu"]), 2.0**-24, np.zeros(20, np.float32)
    if not _runs(*kernel[1:]):
        pytest.skip("this CPU lacks the instructions")
    for x, want in (((1e-39, 0, 0, 0), 0), ((1, 0, -1, tiny), 0), ((1, 0, tiny, -1), tiny)):
        *_, out = _run(kernel, np.array([x], np.float32), np.ones((4, 20), np.float32), bias, "none")
        assert (out == want).all()


def test_a_target_gets_the_best_form_it_has():
    for mcpu, int8, bf16 in (
        ("cascadelake", "vnni", "widened"),
        ("haswell", "plain", "widened"),
        ("cooperlake", "vnni", "pairs"),
        ("znver4", "vnni", "pairs"),
        ("sapphirerapids", "vnni", "pairs"),
    ):
        target = tvm.target.Target({"kind": "llvm", "mcpu": mcpu})
        lanes = tiles_for(target).lanes
        assert (products_for("int8", target, lanes), products_for("bf16", target, lanes)) == (int8, bf16)
