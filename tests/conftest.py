"""What all tests share: the fixed hypothesis profile, golden texts, and how to start a fresh interpreter."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"

settings.register_profile(
    "ci", derandomize=True, max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")


OPTIMIZED = ("dense", "pair", "text", "trees", "tune", "zoo")
"""Folders whose tests run the code that users have. So do modules elsewhere that say OPTIMIZED = True: those that run all feature types,
large rows or numbers. In the others LLVM does not optimize what they compile: kernels compute the same, and it takes half the time."""


APART = "test_docs.py"  # the file whose tests share nothing


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update-golden."""
    parser.addoption("--update-golden", action="store_true", help="write the golden texts instead of comparing with them")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of two processes: the tests of a file stay in one, for its fixtures, which compile; each document may run in any."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return nodeid if file.endswith(APART) else file

    return ByFile(config, log)


@pytest.fixture(scope="module", autouse=True)
def level_of_code(request: pytest.FixtureRequest) -> Iterator[None]:
    """How much LLVM optimizes code in this module: see OPTIMIZED."""
    folder = request.path.relative_to(ROOT / "tests").parts[0]
    with pytest.MonkeyPatch.context() as patch:
        if folder not in OPTIMIZED and not getattr(request.module, "OPTIMIZED", False):
            patch.setattr("tvm_rank.target.OPT_LEVEL", 0)
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` asserts that tests/golden/<name> holds `text`, or writes it with --update-golden."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing; write it with --update-golden and read it before you keep it"
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; if the new text is right, run with --update-golden"

    return check


@pytest.fixture(scope="session")
def fresh_python() -> Callable[..., str]:
    """`fresh_python(code, cwd=..., stdin=...)` runs code in a new interpreter of this tree; gives stdout, fails with stderr."""

    def run(code: str, *, cwd: pathlib.Path = ROOT, stdin: str = "", path: str = "") -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": os.pathsep.join(filter(None, [path, os.environ["PATH"]]))}
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=cwd, env=environment, input=stdin, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
