"""Link a compiled model into a shared library.

The system's C++ compiler does it where there is one. Without one, or for another machine, `zig cc` does: the package `ziglang` (extra
`link`) brings it, with linkers for all machines, from the package index.
"""

from __future__ import annotations

import importlib.util
import pathlib
import platform
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tvm_rank.errors import ArtifactError


def link(executable: Any, file: pathlib.Path, machine: str, **options: Any) -> None:
    """Write the shared library of an executable for `machine` to `file`; options: further ones of TVM's `export_library`. Raises
    ArtifactError when nothing here can link it."""
    from tvm.support import cc

    native = machine == platform.machine()
    has_zig = importlib.util.find_spec("ziglang") is not None
    compiler = cc.get_cc()
    try:
        if has_zig and (compiler is None or not native):
            executable.export_library(str(file), fcompile=_zig(machine), **options)
        elif compiler is not None:
            executable.export_library(str(file), **options)
        else:
            raise ArtifactError(f"{file.name}: nothing to link the code with; install g++ or clang, or `pip install ziglang`")
    except (RuntimeError, subprocess.CalledProcessError) as error:
        hint = "set CXX to a compiler for it" + ("" if native else ", or `pip install ziglang`")
        raise ArtifactError(f"{file.name}: {compiler or 'zig'} cannot link code for {machine}; {hint}\n{error}") from error


def _zig(machine: str) -> Any:
    def run(output: str, objects: Sequence[str], _options: Any = None, **_more: Any) -> None:
        command = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "-target",
            f"{machine}-linux-gnu",
            "-shared",
            "-fPIC",
            "-o",
            output,
            *objects,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())

    run.output_format = "so"  # type: ignore[attr-defined]  # TVM asks the linker for the form that it makes
    return run
