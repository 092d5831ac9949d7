"""NVIDIA's compiler makes machine code of every kernel of every model of the zoo, for both kinds of GPUs that artifacts are made for.

Equal kernels of models are compiled once, and nobody runs this code: so the functions of the prelude are called instead of copied, and ptxas
does not optimize, which takes half of the time. `scripts/check_gpu.py` compiles each model as artifacts have it.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest
from kernels_of_models import kernels_of, together

import tvm_rank
from te_schedules.column_group.kernel import Knobs
from te_schedules.gpu.dense_model import GpuDense
from tvm_rank import code, zoo
from tvm_rank.runtime import machine_code
from tvm_rank.schedule import Schedule

pytestmark = pytest.mark.skipif(shutil.which("ptxas") is None, reason="NVIDIA's CUDA toolkit is not installed")
ARCHS = ("sm_80", "sm_90")
SAME = Schedule(features=Knobs(lanes=2), gpu_dense=GpuDense(warps=8, small_rows=64, middle_rows=512))
INLINE, CALLED = (f"#define RANK_FUNCTION static __device__ {how}" for how in ("__forceinline__", "__noinline__"))


@pytest.fixture(scope="module")
def real_tools() -> dict[str, str]:
    """An environment without the nvcc of the emulator."""
    folders = os.environ["PATH"].split(os.pathsep)
    return os.environ | {"PATH": os.pathsep.join(folder for folder in folders if "emulator" not in folder)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The CUDA source of each model; of the first one for each kind of GPU, without what is modelled for it."""
    found: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(code, "cubin", lambda source, arch: b"")  # noqa: ARG005
        patched.setattr(code, "text_of", lambda module: "")  # noqa: ARG005
        patched.setattr(code, "llvm_ir", lambda executable: "")  # noqa: ARG005
        for name in zoo.MODELS:
            built = zoo.build(name, tmp_path_factory.mktemp(name))
            archs, tuning = (ARCHS[-1:], None) if found else (ARCHS, SAME)
            for arch in archs:
                brought = {"features": built.features, "model": built.model, "tables": built.tables}
                made = tvm_rank.compile(**brought, target=f"cuda-{arch}", tuning=tuning)
                assert found.setdefault(name, made.stages["cuda"]) == made.stages["cuda"], "the source is the same for all GPUs"
    return found


@pytest.fixture(scope="module")
def merged(sources: dict[str, str]) -> tuple[str, set[str]]:
    return together(sources.values())


@pytest.fixture(scope="module")
def assembly(merged: tuple[str, set[str]], real_tools: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """All kernels in the language that ptxas reads."""
    source, names = merged
    assert INLINE in source
    path = tmp_path_factory.mktemp("machine_code") / "kernels.cu"
    path.write_text(source.replace(INLINE, CALLED), encoding="utf-8")
    out = path.with_suffix(".ptx")
    command = ["nvcc", "-ptx", "-O3", "--std=c++17", "-w", "-arch=compute_80", "-o", out, path]
    subprocess.run(command, env=real_tools, check=True)
    assert set(re.findall(r"^\.visible \.entry (\w+)\(", out.read_text(), re.MULTILINE)) == names
    return out


def test_kernels_of_all_models_are_there_equal_ones_once(sources: dict[str, str], merged: tuple[str, set[str]]):
    assert set(sources) == set(zoo.MODELS)
    kernels = {name: kernels_of(source) for name, source in sources.items()}
    for name, found in kernels.items():
        assert "item_features_kernel_1" in found, name
    assert len(zoo.MODELS) < len(merged[1]) < sum(map(len, kernels.values()))


@pytest.mark.parametrize("arch", ARCHS)
def test_every_kernel_of_the_zoo_becomes_machine_code(assembly: pathlib.Path, real_tools: dict[str, str], arch: str):
    out = assembly.with_suffix(f".{arch}")
    subprocess.run(["ptxas", "-O0", f"-arch={arch}", "-o", out, assembly], env=real_tools, check=True)
    assert out.read_bytes().startswith(b"\x7fELF")


def test_what_the_compiler_wrote_down_is_read(real_tools: dict[str, str], tmp_path: pathlib.Path):
    """A stack of 4,000 bytes that is read at a place known to the thread alone, and `malloc`."""
    stack = """
extern "C" __global__ void stack(int* p) {
  int place[1000];
  for (int k = 0; k < 1000; ++k) place[k] = p[k];
  for (int k = 0; k < 1000; ++k) place[p[k + 1000]] += k;
  p[0] = place[p[1]];
}
"""
    heap = 'extern "C" __global__ void heap(int** p) { p[0] = (int*)malloc(8); }'
    for name, source in (("stack", stack), ("both", stack + heap)):
        path = tmp_path / f"{name}.cu"
        path.write_text(source)
        subprocess.run(["nvcc", "-cubin", "-arch=sm_90", "-o", path.with_suffix(".cubin"), path], env=real_tools, check=True)
    both, alone = (machine_code.read(tmp_path / f"{name}.cubin") for name in ("both", "stack"))
    assert (both.functions, both.takes_memory) == ({"stack", "heap"}, True)
    assert (alone.functions, alone.takes_memory) == ({"stack"}, False)
    assert 4000 <= alone.stack_bytes < 4200
    assert 0 < alone.registers < 256


@pytest.mark.parametrize("keep", [0, 3, 60, 200, 1000])
def test_machine_code_that_is_cut_is_refused(real_tools: dict[str, str], tmp_path: pathlib.Path, keep: int):
    source, code = tmp_path / "kernel.cu", tmp_path / "kernels.cubin"
    source.write_text('extern "C" __global__ void one(int* p) { p[0] = 1; }')
    subprocess.run(["nvcc", "-cubin", "-arch=sm_90", "-o", code, source], env=real_tools, check=True)
    code.write_bytes(code.read_bytes()[:keep])
    with pytest.raises(tvm_rank.ArtifactError, match=r"no machine code of a GPU .*compile the artifact again"):
        machine_code.read(code)


def test_a_gpu_that_the_compiler_does_not_know_is_refused(
    real_tools: dict[str, str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", real_tools["PATH"])
    built = zoo.build("lr", tmp_path)
    with pytest.raises(tvm_rank.TargetError, match=r"^target sm_10: .*nvcc makes no code for sm_10; `nvcc --list-gpu-code` says"):
        tvm_rank.compile(features=built.features, model=built.model, tables=built.tables, target="cuda-sm_10")
