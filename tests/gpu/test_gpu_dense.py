"""Dense layers on GPUs: the functions of the kernels, compiled as C++, and models on an emulated GPU, next to the reference.

PTX says which thread has which numbers of a matrix; the instruction is emulated from that, so wrong places are wrong numbers here too.
"""

from __future__ import annotations

import ctypes
import functools
import gzip
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import onnx
import pyarrow as pa
import pytest
import tvm

import tvm_rank
from te_schedules.gpu import dense, round_rows
from te_schedules.gpu.compile import cubin
from te_schedules.gpu.dense_model import FORMS, SPACE, GpuDense, clocks, modelled
from te_schedules.gpu.figures import BY_CAPABILITY, Figures
from tvm_rank.artifact import store
from tvm_rank.cli.main import main
from tvm_rank.ops import reduced_dense
from tvm_rank.schedule import Schedule
from tvm_rank.zoo.onnx_graph import GraphWriter

EMULATOR = pathlib.Path(__file__).parent / "emulator"
FORM = {"small": (1000, 1000), "middle": (0, 1000), "large": (0, 0)}  # the knobs by which all rows take it
SHAPES = [(1, 3, 8), (7, 16, 13), (33, 37, 64), (66, 36, 75), (40, 129, 5)]
VALUES = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11, 1e5, -7e4, 65519, np.inf, np.nan, -0.0, 1e-40, 3e-8, 1e-6, 3.4e38]
Layers = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Layers:
    """compute(layer, x, weight, bias): the functions of the kernels, compiled as C++."""
    calls = [
        f"case {10 * p + warps}: rank_dense<{p}, {warps}>(of->x, of->w, of->bias, of->out, of->rows, n[0], n[1], n[2], n[3], n[4]); break;"
        for p in range(len(dense.PRECISIONS))
        for warps in SPACE["warps"]
    ]
    calls += [
        f"case {1000 + few}: rank_dense_rows<{few}, 4>(of->x, (float*)of->w, of->bias, of->out, of->rows, n[0], n[3], n[2]); break;"
        for few in range(1, dense.FEW + 1)
    ]
    folder = tmp_path_factory.mktemp("dense")
    path = folder / "layer.cpp"
    path.write_text(dense.source() + MAIN.replace("CALLS", "\n".join(calls)))
    command = [os.environ.get("CXX", "g++"), "-std=c++17", "-O1", "-fPIC", "-shared", "-w", "-include", str(EMULATOR / "device.h")]
    subprocess.run([*command, "-I", str(EMULATOR), "-o", str(folder / "layer.so"), str(path)], check=True)
    library = ctypes.CDLL(str(folder / "layer.so"))

    def compute(layer: dense.GpuLayer, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        rows, packed = len(x), dense.pack(weight, layer)
        knobs = layer.knobs or modelled(layer.depth, layer.units, layer.precision, BY_CAPABILITY[90])
        out = np.full((rows + 1, layer.units), 7, np.float32)
        name, last = 1000 + layer.units, layer.packed_shape[1]
        if not layer.has_few:
            name, last = 10 * dense.PRECISIONS.index(layer.precision) + knobs.warps, knobs.small_rows
        numbers = [layer.depth, layer.units, dense.ACTIVATIONS.index(layer.activation), last, knobs.middle_rows]
        blocks = 1 + (rows // 4 + 1 if layer.has_few else (rows // 16 + 1) * (layer.units // 8 + 1))
        threads = 128 if layer.has_few else 32 * knobs.warps
        arrays = (np.ascontiguousarray(x), packed, bias, out)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        library.layer(name, *pointers, ctypes.c_int64(rows), (ctypes.c_int * 5)(*numbers), blocks, threads)
        assert (out[rows:] == 7).all()
        return out[:rows]

    return compute


MAIN = """
#include "block.h"
thread_local Index emulated_thread, emulated_block;
void (*emulated_wait)(bool) = emulated::Block::Wait;
struct Layer { int name; float *x; int32_t *w; float *bias, *out; int64_t rows; const int* n; };
static void body(void* layer, int) {
  Layer* of = (Layer*)layer;
  const int* n = of->n;
  switch (of->name) { CALLS }
}
static void enter(void*, int thread) { emulated_thread = {unsigned(thread), 0, 0}; }
static emulated::Block block;
extern "C" void layer(int name, float* x, int32_t* w, float* bias, float* out, int64_t rows, const int* n, int blocks, int threads) {
  Layer of{name, x, w, bias, out, rows, n};
  for (int k = 0; k < blocks; ++k) emulated_block = {unsigned(k), 0, 0}, block.Run(threads, body, enter, &of, k % 2);
}
"""


def given(rows: int, depth: int, units: int) -> list[np.ndarray]:
    rng = np.random.default_rng([rows, depth, units])
    return [rng.standard_normal(shape, dtype=np.float32) for shape in ((rows, depth), (depth, units), (units,))]


@pytest.mark.parametrize("precision", dense.PRECISIONS)
@pytest.mark.parametrize("form", FORM)
@pytest.mark.parametrize(("rows", "depth", "units"), SHAPES)
def test_each_form_computes_the_layer(layers: Layers, rows: int, depth: int, units: int, form: str, precision: str):
    (x, weight, bias), (small, middle) = given(rows, depth, units), FORM[form]
    activation = dense.ACTIVATIONS[(rows + depth) % 4]
    knobs = GpuDense(warps=4 if units % 2 else 8, small_rows=small, middle_rows=middle)
    layer = dense.GpuLayer(depth=depth, units=units, activation=activation, precision=precision, knobs=knobs)
    wanted = reduced_dense.reference(x, weight, bias, activation=activation, precision=precision)
    np.testing.assert_allclose(layers(layer, x, weight, bias), wanted, rtol=1e-5, atol=2e-5 * depth**0.5)


@pytest.mark.parametrize("units", range(1, dense.FEW + 1))
@pytest.mark.parametrize(("rows", "depth"), [(1, 1), (9, 128), (6, 203)])
def test_few_outputs_are_summed_by_a_warp_for_each_row(layers: Layers, rows: int, depth: int, units: int):
    x, weight, bias = given(rows, depth, units)
    layer = dense.GpuLayer(depth=depth, units=units, activation="sigmoid")
    wanted = reduced_dense.reference(x, weight, bias, activation="sigmoid", precision="fp32")
    np.testing.assert_allclose(layers(layer, x, weight, bias), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", dense.PRECISIONS)
def test_numbers_are_rounded_as_the_reference_says(layers: Layers, precision: str):
    at = np.arange(len(VALUES)), np.arange(len(VALUES)) % 8
    x = np.zeros((len(VALUES), 8), np.float32)
    x[at] = VALUES
    layer = dense.GpuLayer(depth=8, units=8, activation="none", precision=precision)
    got = layers(layer, x, np.eye(8, dtype=np.float32), np.zeros(8, np.float32))
    np.testing.assert_array_equal(got[at], reduced_dense.rounded_rows(x, precision)[at].astype(np.float32))


def test_fp16_makes_what_is_too_large_the_largest_and_keeps_nan():
    x = np.array([[1e5, -np.inf, np.nan, 65520, 1.0]], np.float32)
    np.testing.assert_array_equal(reduced_dense.rounded_rows(x, "fp16"), [[65504, -65504, np.nan, 65504, 1]])


@pytest.mark.parametrize("gpu", BY_CAPABILITY.values(), ids=lambda gpu: gpu.gpu)
@pytest.mark.parametrize(("depth", "units"), [(893, 512), (512, 256), (36, 512), (2000, 1024), (4, 3000)])
@pytest.mark.parametrize("precision", dense.PRECISIONS)
def test_the_modelled_knobs_keep_a_gpu_busy_at_64_rows_and_do_not_read_too_much_at_4096(
    depth: int, units: int, precision: str, gpu: Figures
):
    knobs = modelled(depth, units, precision, gpu)
    assert 0 <= knobs.small_rows <= knobs.middle_rows < 4096 * 4
    at = {rows: next(n for n, most in (("small", knobs.small_rows), ("middle", knobs.middle_rows), ("large", 1 << 40)) if rows <= most)
          for rows in (64, 4096)}  # fmt: skip
    for rows, form in at.items():
        taken = {name: clocks(one, 8, depth, units, precision, rows, gpu) for name, one in FORMS.items()}
        assert taken[form] <= 1.5 * min(taken.values())


@pytest.mark.parametrize("wrong", [{"warps": 3}, {"small_rows": -1}, {"middle_rows": 1.5}])
def test_knobs_that_no_kernel_can_have_are_refused(wrong: dict):
    with pytest.raises(ValueError, match=f"GpuDense.{next(iter(wrong))} is"):
        GpuDense(**({"warps": 4, "small_rows": 0, "middle_rows": 0} | wrong))


WIDTH, ROWS = 12, 45
LAYERS = {"first": (WIDTH, 40, "Relu"), "second": (40, 9, "Tanh"), "last": (9, 1, None)}


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    shapes = {f"{name}_w": (depth, units) for name, (depth, units, _) in LAYERS.items()}
    shapes |= {f"{name}_b": (units,) for name, (_, units, _) in LAYERS.items()}
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def model() -> onnx.ModelProto:
    """Three layers; the last one has one output and so stays in float32."""
    graph, arrays = GraphWriter("layers", {"x": (WIDTH,)}), weights()
    value = "x"
    for name, (_, _, activation) in LAYERS.items():
        value = graph.dense(value, name, arrays, activation)
    return graph.model(value)


def wanted(x: np.ndarray, precision: str) -> np.ndarray:
    arrays = weights()
    for name in ("first", "second"):
        x = reduced_dense.reference(x, arrays[f"{name}_w"], arrays[f"{name}_b"], LAYERS[name][2].lower(), precision).astype(
            np.float32
        )
    return 1 / (1 + np.exp(-(x @ arrays["last_w"] + arrays["last_b"])))


FEATURES = {"features": [{"feature_name": "x", "feature_type": "raw_feature", "expression": "item:x", "value_dim": WIDTH}]}


X = np.random.default_rng(6).standard_normal((ROWS, WIDTH), dtype=np.float32)
SAMPLES = tvm_rank.Samples(items={"x": pa.array(list(X))})
OF_ALL, OF_ONE = GpuDense(warps=4, small_rows=0, middle_rows=32), GpuDense(warps=8, small_rows=64, middle_rows=64)
TUNED = {"fp16": Schedule(gpu_dense=OF_ALL, kernels={"dense_40x9_tanh_fp16": OF_ONE})}  # a schedule of one of them

TOLERANCE = {"tf32": 0.01}  # by samples


@pytest.fixture(scope="module")
def artifacts(emulated: ctypes.CDLL, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pathlib.Path]:
    """The folder of the model in a precision, compiled when first asked for."""
    assert emulated is not None, "it must be there before anything is compiled"

    @functools.cache
    def made(precision: str) -> pathlib.Path:
        folder = tmp_path_factory.mktemp(precision) / "artifact"
        judged = tvm_rank.Precision(dense=precision, tolerance=TOLERANCE.get(precision))
        made = tvm_rank.compile(
            features=FEATURES, model=model(), target="cuda-sm_90", precision=judged, tuning=TUNED.get(precision),
            samples=SAMPLES if precision in TOLERANCE else None,
        )  # fmt: skip
        made.save(folder)
        return folder

    return made


@pytest.mark.parametrize("precision", ["bf16", "fp16", "tf32"])
def test_a_model_scores_as_its_reference(artifacts: Callable[[str], pathlib.Path], precision: str):
    artifact = artifacts(precision)
    engine = tvm_rank.load(artifact)
    assert engine.manifest.precision["dense"] == precision
    assert [layer["precision"] for layer in engine.manifest.precision["layers"]] == [precision, precision, "fp32"]
    for rows in (1, 32, ROWS):
        got = engine.rank(items={"x": pa.array(list(X[:rows]))})["score"]
        np.testing.assert_allclose(got, wanted(X[:rows], precision), rtol=0, atol=1e-5)
    assert tvm_rank.check(artifact, rounds=1).ok


def test_samples_are_scored_by_the_reference_on_the_cpu(artifacts: Callable[[str], pathlib.Path]):
    precision = tvm_rank.load(artifacts("tf32")).manifest.precision
    (found,) = precision["differences"]
    assert precision["scored_by"] == "the reference on the CPU"
    assert found["largest"] == pytest.approx(np.abs(wanted(X, "tf32") - wanted(X, "fp32")).max(), abs=1e-6)
    assert all(0 < layer["error"] < 1e-3 for layer in precision["layers"][:2])


@pytest.mark.parametrize("precision", dense.PRECISIONS[1:])
def test_a_cpu_rounds_rows_as_the_reference_says(precision: str):
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((50, 24)) * 2.0 ** rng.integers(-30, 20, (50, 24))).astype(np.float32)
    x[0, : len(VALUES)], out = VALUES, np.empty_like(x)
    tvm.tirx.build(round_rows.prim_func(24, precision), target="llvm")(x, out)
    np.testing.assert_array_equal(out, reduced_dense.rounded_rows(x, precision).astype(np.float32))


def test_a_layer_is_one_kernel_whose_knobs_are_shown(artifacts: Callable[[str], pathlib.Path], capsys: pytest.CaptureFixture[str]):
    source = gzip.decompress((artifacts("bf16") / "stages" / "cuda.gz").read_bytes()).decode()
    kernels = set(re.findall(r'extern "C" __global__ void __launch_bounds__\(\d+\) (\w+)\(', source))
    assert {kernel for kernel in kernels if "dense" in kernel} == {
        f"dense_{WIDTH}x40_relu_bf16_kernel",
        "dense_40x9_tanh_bf16_kernel",
        "dense_9x1_sigmoid_kernel",
    }
    assert len(kernels) <= 6
    assert main(["inspect", str(artifacts("bf16"))]) == 0
    assert "rank.gpu_dense, warps 8, small_rows " in capsys.readouterr().out


def test_a_schedule_has_other_knobs_for_all_layers_or_for_one(artifacts: Callable[[str], pathlib.Path]):
    kernels = store.read(artifacts("fp16")).kernels
    knobs = {kernel["name"]: kernel["layer"]["knobs"] for kernel in kernels if "layer" in kernel}
    assert knobs == {f"dense_{WIDTH}x40_relu_fp16": asdict(OF_ALL), "dense_40x9_tanh_fp16": asdict(OF_ONE)}


def test_precisions_that_a_target_does_not_have_are_refused_by_name():
    compile_it = functools.partial(tvm_rank.compile, features={"features": []}, model=model())
    with pytest.raises(tvm_rank.TargetError, match="precision 'int8' is not there for GPUs yet"):
        compile_it(target="cuda-sm_90", precision="int8")
    with pytest.raises(tvm_rank.TargetError, match=r"dense layers in 'tf32' are there for GPUs only .*; on a CPU take 'bf16'"):
        compile_it(precision="tf32")


def test_weights_that_fp16_cannot_hold_are_refused_by_their_layer():
    large = model()
    (tensor,) = (one for one in large.graph.initializer if one.name == "second_w")
    tensor.CopyFrom(onnx.numpy_helper.from_array(weights()["second_w"] * 1e6, "second_w"))
    with pytest.raises(tvm_rank.PrecisionError, match=r"layer 1 \(40x9 tanh\) has a weight of .*largest .* is 65504.*keep=\(1,\)"):
        tvm_rank.compile(features=FEATURES, model=large, target="cuda-sm_90", precision="fp16")


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="NVIDIA's CUDA toolkit is not installed")
@pytest.mark.parametrize(("arch", "precisions"), [("sm_80", ("fp32", "bf16")), ("sm_90", ("fp16", "tf32"))])
def test_nvidias_compiler_takes_the_instructions(arch: str, precisions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    real = [folder for folder in os.environ["PATH"].split(os.pathsep) if "emulator" not in folder]
    monkeypatch.setenv("PATH", os.pathsep.join(real))
    kernels = [
        f"""
extern "C" __global__ void __launch_bounds__(256)
layer_{name}(const float* x, const int32_t* w, const float* bias, float* out, int64_t n) {{
  rank_dense<{dense.PRECISIONS.index(name)}, 8>(x, w, bias, out, n, 569, 512, 1, 64, 512);
}}"""
        for name in precisions
    ]
    code = cubin(dense.source() + "".join(kernels), arch)
    assert code.startswith(b"\x7fELF")
    assert all(f".text.layer_{name}".encode() in code for name in precisions)
