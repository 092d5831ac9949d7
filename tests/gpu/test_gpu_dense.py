"""Dense layers on tensor cores: the functions of the kernel, compiled as C++, and models in bf16 on an emulated GPU, next to the reference.

PTX says which thread has which numbers of a matrix; the instruction is emulated from that, so wrong places are wrong numbers here too.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import onnx
import pyarrow as pa
import pytest

import tvm_rank
from te_schedules.gpu import dense
from te_schedules.gpu.compile import cubin
from tvm_rank.ops import reduced_dense
from tvm_rank.zoo.onnx_graph import GraphWriter

EMULATOR = pathlib.Path(__file__).parent / "emulator"
CALL = """
extern "C" void layer(const float* x, const int32_t* w, const float* bias, float* out, int64_t rows, int depth, int units, int activation) {
  for (int64_t first = 0; first < rows; first += 32)
    for (int tile = 0; tile < (units + 7) / 8; tile += 4)
      for (int thread = 0; thread < 32; ++thread)
        rank_dense_bf16(x, w, bias, out, rows, depth, units, first, tile, activation, thread);
}
"""
SHAPES = [(1, 3, 8), (7, 16, 13), (33, 37, 64), (64, 100, 33), (40, 129, 5), (31, 48, 130)]


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The functions of the kernel on this machine."""
    folder = tmp_path_factory.mktemp("dense")
    path = folder / "layer.cpp"
    path.write_text(dense.source() + CALL)
    command = [os.environ.get("CXX", "g++"), "-std=c++17", "-O1", "-fPIC", "-shared", "-w", "-include", str(EMULATOR / "device.h")]
    subprocess.run([*command, "-o", str(folder / "layer.so"), str(path)], check=True)
    return ctypes.CDLL(str(folder / "layer.so"))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@pytest.mark.parametrize("activation", dense.ACTIVATIONS)
@pytest.mark.parametrize(("rows", "depth", "units"), SHAPES)
def test_the_functions_compute_the_layer(functions: ctypes.CDLL, rows: int, depth: int, units: int, activation: str):
    rng = np.random.default_rng([rows, depth, units])
    x, weight = (rng.standard_normal(shape, dtype=np.float32) for shape in ((rows, depth), (depth, units)))
    bias, out = rng.standard_normal(units, dtype=np.float32), np.full((rows + 1, units), 7, np.float32)
    packed, numbers = dense.pack(weight), [ctypes.c_int64(rows), depth, units, dense.ACTIVATIONS.index(activation)]
    functions.layer(*(pointer(array) for array in (x, packed, bias, out)), *numbers)
    wanted = reduced_dense.reference(x, weight, bias, activation=activation, precision="bf16")
    np.testing.assert_allclose(out[:rows], wanted, rtol=1e-5, atol=2e-5 * depth**0.5)
    assert (out[rows:] == 7).all()


def test_numbers_round_to_even_and_what_is_no_number_stays_none(functions: ctypes.CDLL):
    x = np.array([[1 + 2**-8, 1 + 3 * 2**-8, np.inf, np.nan, -0.0, 1e-40]], np.float32)
    weight, out = np.eye(6, 8, dtype=np.float32), np.empty((1, 8), np.float32)
    packed, zero = dense.pack(weight), np.zeros(8, np.float32)
    for k in range(6):
        one = np.zeros_like(x)
        one[0, k] = x[0, k]
        functions.layer(*(pointer(array) for array in (one, packed, zero, out)), ctypes.c_int64(1), 6, 8, 0)
        np.testing.assert_array_equal(out[0, k], reduced_dense.bf16(x[:, k])[0])


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


def wanted(x: np.ndarray) -> np.ndarray:
    arrays = weights()
    for name in ("first", "second"):
        x = reduced_dense.reference(x, arrays[f"{name}_w"], arrays[f"{name}_b"], LAYERS[name][2].lower(), "bf16").astype(np.float32)
    return 1 / (1 + np.exp(-(x @ arrays["last_w"] + arrays["last_b"])))


@pytest.fixture(scope="module")
def artifact(emulated: ctypes.CDLL, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    assert emulated is not None, "it must be there before anything is compiled"
    feature = {"feature_name": "x", "feature_type": "raw_feature", "expression": "item:x", "value_dim": WIDTH}
    folder = tmp_path_factory.mktemp("bf16") / "artifact"
    tvm_rank.compile(features={"features": [feature]}, model=model(), target="cuda-sm_90", precision="bf16").save(folder)
    return folder


def test_a_model_in_bf16_scores_as_its_reference(artifact: pathlib.Path):
    x = np.random.default_rng(6).standard_normal((ROWS, WIDTH), dtype=np.float32)
    engine = tvm_rank.load(artifact)
    assert engine.manifest.precision["dense"] == "bf16"
    assert [layer["precision"] for layer in engine.manifest.precision["layers"]] == ["bf16", "bf16", "fp32"]
    for rows in (1, 32, ROWS):
        got = engine.rank(items={"x": pa.array(list(x[:rows]))})["score"]
        np.testing.assert_allclose(got, wanted(x[:rows]), rtol=0, atol=1e-5)
    assert tvm_rank.check(artifact, rounds=1).ok


def test_a_layer_is_one_kernel(artifact: pathlib.Path):
    import gzip

    source = gzip.decompress((artifact / "stages" / "cuda.gz").read_bytes()).decode()
    kernels = set(re.findall(r'extern "C" __global__ void __launch_bounds__\(\d+\) (\w+)\(', source))
    assert {kernel for kernel in kernels if "bf16" in kernel} == {
        f"dense_{WIDTH}x40_relu_bf16_kernel",
        "dense_40x9_tanh_bf16_kernel",
    }
    assert len(kernels) <= 6


def test_precisions_that_gpus_do_not_have_are_refused_by_name():
    with pytest.raises(tvm_rank.TargetError, match="precision 'int8' is not there for GPUs yet"):
        tvm_rank.compile(features={"features": []}, model=model(), target="cuda-sm_90", precision="int8")
    judged = tvm_rank.Precision(dense="bf16", tolerance=1e-3)
    with pytest.raises(
        tvm_rank.TargetError, match="a tolerance of the precision, which a run on the GPU would have to judge, is not there"
    ):
        tvm_rank.compile(features={"features": []}, model=model(), target="cuda-sm_90", precision=judged)


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="NVIDIA's CUDA toolkit is not installed")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_nvidias_compiler_takes_the_instructions(arch: str, monkeypatch: pytest.MonkeyPatch):
    real = [folder for folder in os.environ["PATH"].split(os.pathsep) if "emulator" not in folder]
    monkeypatch.setenv("PATH", os.pathsep.join(real))
    kernel = """
extern "C" __global__ void __launch_bounds__(128) layer(const float* x, const int32_t* w, const float* bias, float* out, int64_t rows) {
  rank_dense_bf16(x, w, bias, out, rows, 569, 512, blockIdx.x * 32, (blockIdx.y * 4 + threadIdx.x / 32) * 4, 1, threadIdx.x);
}
"""
    code = cubin(dense.source() + kernel, arch)
    assert code.startswith(b"\x7fELF")
    assert b".text.layer" in code
