"""Whether this machine can run the code of an artifact."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Sequence
from dataclasses import replace

from tvm_rank.artifact.manifest import Manifest
from tvm_rank.errors import ArtifactError
from tvm_rank.runtime import gpu

GPU = "sm_"  # with which the names of compute capabilities begin among what an artifact needs


def cpu_flags() -> frozenset[str]:
    """The flags of this CPU, in /proc/cpuinfo's spelling; empty where they cannot be read."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        return flags_in(file.read())
    return frozenset()


def flags_in(cpuinfo: str) -> frozenset[str]:
    """The flags of the first CPU of a text like /proc/cpuinfo; empty when it has none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def missing(needs: Sequence[str], flags: frozenset[str]) -> list[str]:
    """The CPU flags that code needs and a CPU with these flags lacks; none where flags are not known."""
    return [flag for flag in needs if not flag.startswith(GPU) and flag not in flags] if flags else []


def processor() -> str:
    """The name of this machine's processor; of its kind where it cannot be read."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def check_machine(manifest: Manifest, where: str) -> None:
    """Raise ArtifactError when this machine lacks what the code of the artifact needs."""
    if lacks := lacking(manifest.machine, manifest.needs):
        recompile = "compile it for this machine, or with a smaller target such as x86-64-v3"
        raise ArtifactError(f"{where}: compiled for {manifest.machine} (target {manifest.target}), {lacks}; {recompile}")


def check_host(manifest: Manifest, where: str) -> None:
    """As `check_machine`, for what runs on the CPU alone: an item store can be made without the GPU that reads it."""
    check_machine(replace(manifest, needs=of_host(manifest.needs)), where)


def of_host(needs: Sequence[str]) -> tuple[str, ...]:
    """What is needed of the CPU."""
    return tuple(need for need in needs if not need.startswith(GPU))


def lacking(machine: str, needs: Sequence[str]) -> str:
    """Why code for a machine with these CPU flags does not run here; "" when it does."""
    if machine != platform.machine():
        return f"this machine is {platform.machine()}"
    if lacks := missing(needs, cpu_flags()):
        return f"this CPU lacks {', '.join(lacks)}"
    return "" if (wanted := gpu_of(needs)) is None else gpu.lacking(wanted)


def gpu_of(needs: Sequence[str]) -> str | None:
    """The GPU that the code is for, such as "sm_90"; None for a CPU."""
    return next((need for need in needs if need.startswith(GPU)), None)
