"""Ctrl-C is an interrupt, whatever it becomes on its way through C++."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tvm_rank.cli.interrupt import Interrupts


def _interrupted_in_a_callback() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise RuntimeError("what TVM makes of it") from None


def test_an_error_behind_ctrl_c_is_the_interrupt():
    with pytest.raises(KeyboardInterrupt), Interrupts():
        _interrupted_in_a_callback()


def test_other_errors_are_what_they_are():
    with pytest.raises(RuntimeError, match="another"), Interrupts():
        raise RuntimeError("another")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_under_standard_output_is_told_in_a_line():
    many = "inspect.run = lambda _: print('x' * 10**6) or 0"
    program = f"import sys; from tvm_rank.cli import inspect, main; {many}; sys.exit(main.main(['inspect', 'a']))"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "tvm-rank: [Errno 28] No space left on device; make room, or give another place\n"
