"""The scripts end well on good input, and say what is wrong on bad input."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from tvm_rank.zoo import criteo

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


def script(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


UNOPTIMIZED = """import runpy, sys, tvm_rank.target
tvm_rank.target.OPT_LEVEL = 0
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter of this tree, with code that LLVM does not optimize."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (SCRIPTS.parent, SCRIPTS)))}
    command = [sys.executable, "-c", UNOPTIMIZED, str(SCRIPTS / name), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def largest_difference(output: str) -> float:
    """The figure that a script prints after comparing with NumPy."""
    found = re.search(r"largest difference to NumPy:? ([0-9.e+-]+)", output)
    assert found, output
    return float(found.group(1))


def test_the_demo_ranks_a_request_and_agrees_with_numpy(tmp_path: pathlib.Path):
    done = run_script("demo.py", "--out", str(tmp_path), "--request", "2")
    assert done.returncode == 0, done.stderr
    assert largest_difference(done.stdout) <= 1e-5
    scores = [float(score) for score in re.findall(r"^ +\d+  (\d\.\d{5})  ", done.stdout, re.MULTILINE)]
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)
    assert (tmp_path / "artifact").is_dir()


def test_criteo_scores_a_file_and_agrees_with_numpy(tmp_path: pathlib.Path):
    rows = criteo.generate(50, rng=np.random.default_rng(5))
    rows = rows.add_column(0, "label", pa.array([0, 1] * 25, pa.int64()))
    options = pa.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    pa.csv.write_csv(rows, tmp_path / "rows.tsv", options)
    done = run_script("criteo.py", str(tmp_path / "rows.tsv"), "--buckets", "100")
    assert done.returncode == 0, done.stderr
    assert "scored 50 rows" in done.stdout
    assert largest_difference(done.stdout) <= 1e-5


def test_criteo_names_a_file_of_another_format(tmp_path: pathlib.Path):
    (tmp_path / "rows.tsv").write_text("a\tb\n")
    done = run_script("criteo.py", str(tmp_path / "rows.tsv"))
    assert done.returncode == 2
    assert "rows.tsv: not Criteo's format" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cell_has_the_width_that_a_terminal_shows():
    cell = script("demo").cell
    assert cell("abc", 5) == "abc  "
    assert cell("緑茶", 5) == "緑茶 "
    assert cell("緑茶", 3) == "緑 "
    assert cell("abcdef", 3) == "abc"
    assert cell(None, 2) == "- "
    assert cell(2.5, 5) == "2.50 "
    assert cell(["red", "grün"], 9) == "red grün "


def test_sizes_are_counted_without_docstrings(tmp_path: pathlib.Path):
    body = '    """One.\n\n    Two.\n    """\n' + "    x = 1\n" * 4
    (tmp_path / "a.py").write_text(f"def f():\n{body}")
    findings = script("check_sizes").findings
    assert list(findings(tmp_path / "a.py", file_limit=9, function_limit=5)) == []
    (found,) = findings(tmp_path / "a.py", file_limit=9, function_limit=4)
    assert found.endswith("a.py:1: f has 5 lines, more than 4")
    (found,) = findings(tmp_path / "a.py", file_limit=8, function_limit=5)
    assert found.endswith("a.py: 9 lines, more than 8")


@pytest.mark.parametrize("name", ["setup_env", "test"])
def test_shell_scripts_explain_themselves(name: str):
    done = subprocess.run([str(SCRIPTS / name), "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert f"scripts/{name}" in done.stdout
    assert "#" not in done.stdout


def test_setup_refuses_a_folder_that_holds_other_files(tmp_path: pathlib.Path):
    (tmp_path / "thesis.txt").write_text("x")
    done = subprocess.run([str(SCRIPTS / "setup_env"), str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "holds files and is no virtual environment" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_setup_refuses_a_python_without_the_venv_module(tmp_path: pathlib.Path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    command = [str(SCRIPTS / "setup_env"), str(tmp_path / "venv")]
    environment = {**os.environ, "PYTHON": str(python)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "has no venv module" in done.stderr
    assert "PYTHON=/path/to/python" in done.stderr
