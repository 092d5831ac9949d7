"""The loops that say what a core multiplies at most."""

from __future__ import annotations

import pathlib
import platform
import re
import shutil
import subprocess
import sys

import pytest

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
INSTRUCTIONS = {"fp32": r"\bvfmadd\w+ps\b", "bf16": r"\bvdpbf16ps\b", "int8": r"\bvpdpbusd\b"}


@pytest.mark.skipif(platform.machine() != "x86_64" or shutil.which("objdump") is None, reason="reads x86 machine code by objdump")
def test_compilers_leave_no_sum_of_a_loop_out(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benching.peak import peaks

    for name in ("benching", "benching.peak"):
        del sys.modules[name]  # other tests of scripts import their own
    found = peaks(str(tmp_path))
    if not found:
        pytest.skip("there is no C compiler")
    text = subprocess.run(["objdump", "-d", str(tmp_path / "libpeak.so")], check=True, capture_output=True, text=True).stdout
    bodies = dict(re.findall(r"<(\w+)_loop>:\n(.*?)(?=\n\n|\Z)", text, re.DOTALL))
    for precision, peak in found.items():
        call, flops = peak(1_000_000)
        call()
        assert flops >= 1_000_000
        assert len(re.findall(INSTRUCTIONS[precision], bodies[precision])) == 12
