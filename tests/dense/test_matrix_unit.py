"""Dense layers on the CPU's matrix unit: their machine code, and the same kernels run by what Intel's manual says, against the reference."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import mmap
import re
from unittest import mock

import intel_manual
import numpy as np
import pytest
import tvm
from dense_oracle import AVX512, cpu_has, random_layer

from te_schedules.dense import Layer, dense_func, tiles_for
from te_schedules.dense.reduced import matrix
from te_schedules.dense.reduced.pack import pack_bf16, pack_int8
from te_schedules.dense.reduced.products import products_for
from te_schedules.dense.reduced.rows import rows_func
from te_schedules.lower import PIPELINE
from tvm_rank.ops.reduced_dense import reference

SAPPHIRE_RAPIDS = {"kind": "llvm", "mcpu": "sapphirerapids"}
PRECISIONS = ("bf16", "int8")
ROWS = (0, 1, 7, 16, 17, 33, 64, 250)
RAGGED, WHOLE = (41, 65, "none"), (64, 16, "tanh")  # ragged K and a last panel of one column; whole tiles, one of columns


def _layer(precision: str, target: dict, depth: int, units: int, activation: str) -> Layer:
    target = tvm.target.Target(target)
    return Layer(
        depth=depth, units=units, activation=activation, has_row_bias=True, has_item_bias=True, precision=precision, matrix=True,
        tiles=dataclasses.replace(tiles_for(target), vectors=matrix.VECTORS), products=products_for(precision, target, 16),
    )  # fmt: skip


def _build(layer: Layer, target: dict) -> tvm.runtime.Module:
    rows = rows_func(layer.depth, layer.precision, "rows", layer.words, layer.products)
    kernels = {"dense": dense_func(layer, "dense"), "rows": rows, matrix.SWITCH: matrix.switch_func()}
    return tvm.tirx.build(tvm.IRModule(kernels), target=tvm.target.Target(target | {"opt-level": 1}), pipeline=PIPELINE)


@functools.cache
def _manual(precision: str, depth: int, units: int, activation: str) -> tuple[Layer, tvm.runtime.Module]:
    """The kernel for this machine, with the manual's functions where the instructions of tiles are."""
    if not cpu_has(AVX512):
        pytest.skip("this CPU lacks AVX-512")
    layer = _layer(precision, AVX512, depth, units, activation)
    with mock.patch.dict(matrix.IMPORTS, amx=intel_manual.AMX):
        return layer, _build(layer, AVX512)


def _run(precision: str, activation: str, x, weight, bias, *, on: int = 1, place=np.array, **biases: np.ndarray) -> np.ndarray:
    """The layer by tiles, or without when not `on`. place(array): where the kernel reads an array; the output is between guards."""
    layer, built = _manual(precision, *weight.shape, activation)
    words, levels = np.full((len(x), layer.words), -1, np.int32), np.zeros((len(x), 2), np.float32)
    guarded = np.full(len(x) * len(bias) + 64, 7.0, np.float32)
    out = guarded[32:-32].reshape(len(x), len(bias))
    own = [levels] if precision == "int8" else []
    _call(built["rows"], x, np.ones(len(weight), np.float32), words, *own)
    if precision == "int8":
        kept = pack_int8(weight, layer.tiles, layer.products, layer.words)
        own += [place(kept.packed), kept.factors, kept.totals]
    else:
        own += [place(pack_bf16(weight, layer.tiles, layer.words))]
    nothing = {"bias": np.zeros((1, len(bias)), np.float32), "index": np.zeros(len(x), np.int32)}
    extra = [biases.get(f"{of}_{what}", nothing[what]) for of in ("row", "item") for what in ("bias", "index")]
    built[matrix.SWITCH](on)
    _call(built["dense"], place(words), *own, bias, *extra, out)
    assert (guarded[:32] == 7).all()
    assert (guarded[-32:] == 7).all()
    return out


def _call(function, *arrays: np.ndarray) -> None:
    """NumPy's empty arrays have strides that TVM refuses."""
    function(*(tvm.runtime.tensor(a) if a.size == 0 else a for a in arrays))


def _assert_close(got, want, x, weight, precision: str) -> None:
    """In int8 a word may round to a neighbour where two are equally near."""
    span = np.ptp(np.c_[x, np.zeros(len(x), np.float32)], axis=1, keepdims=True) if precision == "int8" else np.zeros((len(x), 1))
    allowed = span / 255 * np.abs(weight).max(initial=0) + 1e-5 * (np.abs(x) @ np.abs(weight) + 1)
    assert (np.abs(got - want) <= allowed).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [RAGGED, WHOLE])
def test_tiles_and_vectors_give_the_reference(precision: str, shape: tuple[int, int, str]):
    *extents, activation = shape
    for rows in ROWS:
        x, weight, bias = random_layer(rows, *extents, rows)
        want = reference(x, weight, bias, activation, precision)
        for on in (1, 0):
            _assert_close(_run(precision, activation, x, weight, bias, on=on), want, x, weight, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_biases_of_rows_go_over_the_sums_of_tiles(precision: str):
    x, weight, bias = random_layer(50, *RAGGED[:2])
    rng = np.random.default_rng(1)
    biases = {f"{n}_bias": rng.normal(size=(rows, 65)).astype(np.float32) for n, rows in (("row", 6), ("item", 11))}
    biases |= {f"{n}_index": rng.integers(-2, 13, 50).astype(np.int32) for n in ("row", "item")}
    got = _run(precision, "none", x, weight, bias, **biases)
    _assert_close(got, reference(x, weight, bias, "none", precision, **biases), x, weight, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tiles_read_nothing_beyond_x_and_the_weight(precision: str):
    x, weight, bias = random_layer(17, *RAGGED[:2])
    held: list[mmap.mmap] = []
    got = _run(precision, "none", x, weight, bias, place=lambda array: _before_a_wall(array, held))
    _assert_close(got, reference(x, weight, bias, "none", precision), x, weight, precision)


def _before_a_wall(array: np.ndarray, held: list[mmap.mmap]) -> np.ndarray:
    """A copy that ends where a page begins that nobody may read: a byte beyond it ends the process."""
    page = mmap.PAGESIZE
    pages = -(-array.nbytes // page)
    memory = mmap.mmap(-1, (pages + 1) * page)
    held.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(start + pages * page), ctypes.c_size_t(page), 0) == 0
    placed = np.frombuffer(memory, array.dtype, array.size, pages * page - array.nbytes).reshape(array.shape)
    placed[...] = array
    return placed


def test_bf16_tiles_sum_lower_and_upper_numbers_apart_and_take_denormal_numbers_for_zero():
    """What the manual says of TDPBF16PS, in exact numbers: sums in the order of words would be 0."""
    tiny = 2.0**-24
    x = np.zeros((3, 41), np.float32)
    x[0, :4], x[1, :4], x[2, 0] = (1, 0, -1, tiny), (1, tiny, 0, -1), 1e-39
    weight, bias = np.ones((41, 65), np.float32), np.zeros(65, np.float32)
    assert (_run("bf16", "none", x, weight, bias) == np.array([[tiny], [tiny], [0]])).all()


def test_rows_of_nan_and_infinity_stay_in_their_rows():
    x, weight, bias = random_layer(20, 41, 65)
    x[3, 5], x[17, 40] = np.nan, np.inf
    for precision in PRECISIONS:
        got = _run(precision, "none", x, weight, bias)
        assert not np.isfinite(got[[3, 17]]).any()
        assert np.isfinite(np.delete(got, [3, 17], axis=0)).all()


@pytest.mark.parametrize(
    ("precision", "instruction", "other"), [("bf16", "tdpbf16ps", "vdpbf16ps"), ("int8", "tdpbusd", "vpdpbusd")]
)
def test_machine_code_has_the_instructions_of_tiles(precision: str, instruction: str, other: str):
    text = _build(_layer(precision, SAPPHIRE_RAPIDS, 64, 33, "none"), SAPPHIRE_RAPIDS).inspect_source("asm")
    found = {
        name: len(re.findall(rf"\t{name}\t", text))
        for name in (instruction, other, "tileloadd", "tilestored", "tilezero", "ldtilecfg")
    }
    assert all(found.values()), found
    assert "\ttilerelease" in text
    assert re.search(rf"{instruction}\t%tmm7, %tmm5, %tmm3", text)  # sums 3 += rows of x 5 by weights 7
    assert "call\trank_tiles" not in text
    attrs = dense_func(_layer(precision, SAPPHIRE_RAPIDS, 64, 33, "none")).attrs
    assert str(attrs["rank.instruction"]) == f"{instruction}, or {other}"


def test_flags_of_the_target_choose_the_matrix_unit():
    def has(precision: str, **more) -> bool:
        return matrix.has_matrix_unit(precision, tvm.target.Target(SAPPHIRE_RAPIDS | more), 16)

    assert has("bf16")
    assert has("int8")
    assert not has("bf16", mattr=["-amx-bf16"])
    assert has("int8", mattr=["-amx-bf16"])
    assert not has("int8", mattr=["-amx-tile"])
    assert not has("bf16", mcpu="cooperlake")
    assert not matrix.has_matrix_unit("bf16", tvm.target.Target(SAPPHIRE_RAPIDS), 8)
