"""What a figure depends on besides the code."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import platform
from importlib import metadata
from typing import Any

import tvm_rank

PACKAGES = ("apache-tvm", "apache-tvm-ffi", "numpy", "pyarrow")


def conditions() -> dict[str, Any]:
    """The machine, its state and the versions: {name: text or number}."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "governor": governor(),
        "hypervisor": "hypervisor" in _first("flags"),
        "load_average": round(os.getloadavg()[0], 2),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "tvm-rank": tvm_rank.__version__,
        **{name: metadata.version(name) for name in PACKAGES},
    }


def cpu_model() -> str:
    """As /proc/cpuinfo names it, else the machine."""
    return _first("model name") or platform.processor() or platform.machine()


def governor() -> str:
    """The rule by which the first core chooses its clock; "unknown" where the system does not say, as in many virtual machines."""
    with contextlib.suppress(OSError):
        return pathlib.Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text(encoding="ascii").strip()
    return "unknown"


def described(found: dict[str, Any]) -> list[str]:
    """The conditions as lines for a reader."""
    virtual = "virtual machine" if found["hypervisor"] else "no hypervisor"
    versions = ", ".join(f"{name} {found[name]}" for name in ("tvm-rank", *PACKAGES))
    return [
        f"{found['cpu']}, {found['usable_cores']} of {found['cores']} cores, {found['memory_gb']} GB, {virtual}, "
        f"governor {found['governor']}, load average {found['load_average']} at the start",
        f"{found['kernel']}, Python {found['python']}, {versions}",
        f"{found['date']}",
    ]


def _first(wanted: str) -> str:
    """The first line of this name in /proc/cpuinfo."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == wanted:
                return value.strip()
    return ""
