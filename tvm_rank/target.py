"""Targets: what a user writes, and the TVM target and CPU features that it means."""

from __future__ import annotations

import platform
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvm_rank.errors import TargetError
from tvm_rank.precision import AUTO

if TYPE_CHECKING:
    import tvm

    from tvm_rank.precision import Precision

HOST = "cpu"
# At level 3 LLVM copies loops for every condition that does not change in them: feature kernels have many, and gain nothing.
OPT_LEVEL = 2
# Where a machine guards gathering instructions against leaks (Downfall), one costs as much as 50 loads; elsewhere little is lost.
_NO_GATHER = ["+prefer-no-gather", "+prefer-no-scatter"]
_X86_64_V3 = ("avx2", "bmi2", "f16c", "fma", "movbe")
_X86_64_V4 = (*_X86_64_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
# Vector flags beyond level 4 that LLVM uses as it likes, as it and as /proc/cpuinfo spells them. Not those of AMX: kernels use it only where
# it is there (runtime/matrix_unit.py).
_FURTHER = {
    "avx512vnni": "avx512_vnni",
    "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16",
    "avx512ifma": "avx512ifma",
    "avx512vbmi": "avx512vbmi",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avxvnni": "avx_vnni",
    "gfni": "gfni",
}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named CPU: LLVM's name of it, its machine, and the flags (of /proc/cpuinfo) without which its code cannot run."""

    mcpu: str
    machine: str
    needs: tuple[str, ...]
    triple: str


PRESETS: dict[str, Preset] = {
    "x86-64-v3": Preset(mcpu="x86-64-v3", machine="x86_64", needs=_X86_64_V3, triple="x86_64-linux-gnu"),
    "x86-64-v4": Preset(mcpu="x86-64-v4", machine="x86_64", needs=_X86_64_V4, triple="x86_64-linux-gnu"),
    "sapphirerapids": Preset(
        mcpu="sapphirerapids",
        machine="x86_64",
        needs=(*_X86_64_V4, *_FURTHER.values()),
        triple="x86_64-linux-gnu",
    ),
    "aarch64": Preset(mcpu="generic", machine="aarch64", needs=("asimd",), triple="aarch64-linux-gnu"),
}


CUDA = "cuda"
GPUS = ("cuda-sm_80", "cuda-sm_90")  # others are taken too, by their compute capability
ON_GPUS = ("fp32", "bf16", "fp16", "tf32")  # precisions of dense layers
ON_CPUS = ("fp32", "bf16", "int8")
_GPU_NAME = re.compile(r"cuda-(sm_\d{2,3})")


@dataclass(frozen=True, kw_only=True)
class ResolvedTarget:
    """`name` as the user gave it, TVM's target, and what a machine needs to run the code."""

    name: str
    tvm_target: tvm.target.Target
    machine: str
    needs: tuple[str, ...]

    @property
    def is_gpu(self) -> bool:
        """Whether kernels run on a GPU."""
        return bool(self.tvm_target.kind.name == CUDA)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that dense layers can have."""
        return ON_GPUS if self.is_gpu else ON_CPUS


def resolve(target: object) -> ResolvedTarget:
    """The target that "cpu", a preset, or a TVM target (object, dict or JSON text) means. Raises TargetError."""
    import tvm

    if target == HOST:
        return _host()
    if isinstance(target, str) and target in PRESETS:
        preset = PRESETS[target]
        made = _target(preset.mcpu, preset.machine, mtriple=preset.triple)
        return ResolvedTarget(name=target, tvm_target=made, machine=preset.machine, needs=preset.needs)
    if isinstance(target, str) and target.startswith(CUDA):
        return _cuda(target)
    try:
        made = tvm.target.Target(target)
    except Exception as error:
        raise TargetError(
            f"target {target!r}: not known ({_first_line(error)}); give {', '.join([HOST, *PRESETS, *GPUS])}, or a TVM target"
        ) from error
    if made.kind.name != "llvm":
        raise TargetError(f"target {target!r}: kind {made.kind.name!r} is not supported; give {', '.join([HOST, *PRESETS, *GPUS])}")
    machine = "aarch64" if "aarch64" in str(made.attrs.get("mtriple", "")) else platform.machine()
    return ResolvedTarget(name=str(target), tvm_target=made, machine=machine, needs=_needs_of(made))


def _cuda(name: str) -> ResolvedTarget:
    """A GPU by its compute capability, beside a CPU that most machines with GPUs have."""
    import tvm

    found = _GPU_NAME.fullmatch(name)
    if found is None:
        raise TargetError(f"target {name!r}: name the GPU by its compute capability, such as {' or '.join(GPUS)}")
    if shutil.which("nvcc") is None:
        raise TargetError(f"target {name!r}: nvcc is not in PATH; install NVIDIA's CUDA toolkit here (no GPU is needed to compile)")
    host = PRESETS["aarch64" if platform.machine() == "aarch64" else "x86-64-v3"]
    cpu = _target(host.mcpu, host.machine, mtriple=host.triple)
    made = tvm.target.Target({"kind": CUDA, "arch": found[1]}, host=cpu)
    return ResolvedTarget(name=name, tvm_target=made, machine=host.machine, needs=(*host.needs, found[1]))


def check_precision(target: ResolvedTarget, precision: Precision) -> None:
    """Raise TargetError for a precision of dense layers that the target does not have."""
    if target.is_gpu and precision.dense not in ON_GPUS:
        raise TargetError(
            f"target {target.name!r}: precision {precision.dense!r} is not there for GPUs yet; take {', '.join(ON_GPUS)}, or compile for a CPU"
        )
    if not target.is_gpu and precision.dense not in (*ON_CPUS, AUTO):
        raise TargetError(
            f"target {target.name!r}: dense layers in {precision.dense!r} are there for GPUs only ({' or '.join(GPUS)}); on a CPU take 'bf16', "
            "which has fewer digits and the range of fp32, or 'int8'"
        )


def _target(mcpu: str, machine: str, **more: str) -> tvm.target.Target:
    """TVM's target for a CPU that LLVM has this name for."""
    import tvm

    features = {"mattr": _NO_GATHER} if machine == "x86_64" else {}
    return tvm.target.Target({"kind": "llvm", "mcpu": mcpu, "opt-level": OPT_LEVEL, **features, **more})


def _host() -> ResolvedTarget:
    import tvm

    made = _target(str(tvm.target.codegen.llvm_get_system_cpu()), platform.machine())
    needs = _needs_of(made) if platform.machine() == "x86_64" else ()
    return ResolvedTarget(name=HOST, tvm_target=made, machine=platform.machine(), needs=needs)


def _needs_of(made: tvm.target.Target) -> tuple[str, ...]:
    """The vector flags that LLVM may use for this target, in /proc/cpuinfo's spelling."""
    import tvm

    features = {str(feature) for feature in tvm.target.codegen.llvm_get_cpu_features(made)}
    flags = {flag: flag for flag in _X86_64_V4} | _FURTHER
    return tuple(flag for feature, flag in flags.items() if feature in features)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
