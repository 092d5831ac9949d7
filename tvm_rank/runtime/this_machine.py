"""Whether this machine can run the code of an artifact."""

from __future__ import annotations

import contextlib
import platform

from tvm_rank.artifact.manifest import Manifest
from tvm_rank.errors import ArtifactError


def cpu_flags() -> frozenset[str]:
    """The flags of this CPU, in /proc/cpuinfo's spelling; empty where they cannot be read."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return frozenset(value.split())
    return frozenset()


def check_machine(manifest: Manifest, where: str) -> None:
    """Raise ArtifactError when this machine lacks what the code of the artifact needs."""
    recompile = "compile it for this machine, or with a smaller target such as x86-64-v3"
    if manifest.machine != platform.machine():
        raise ArtifactError(
            f"{where}: compiled for {manifest.machine} (target {manifest.target}), this machine is {platform.machine()}; {recompile}"
        )
    flags = cpu_flags()
    missing = [flag for flag in manifest.needs if flag not in flags] if flags else []
    if missing:
        raise ArtifactError(f"{where}: compiled for {manifest.target}; this CPU lacks {', '.join(missing)}; {recompile}")
