"""The processes of a benchmark: each contestant in one of its own, and the baselines by name."""

from __future__ import annotations

import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tvm_rank
from tvm_rank.errors import BenchError

LIMIT_S = 900.0  # of one answer; reading tables of some GB is the longest
TOLD = 600  # characters of what a process said before it died
# The interpreter of a baseline may have other packages: it sees this package, and nothing else of this installation.
BOOT = """
import importlib, importlib.util, sys
root, entry = sys.argv[1:]
spec = importlib.util.spec_from_file_location("tvm_rank", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["tvm_rank"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from tvm_rank.bench.peers.serve import serve
name, _, kind = entry.partition(":")
serve(lambda: getattr(importlib.import_module(name), kind)())
"""
OWN = "tvm_rank.bench.peers.own:Own"
REMOTE = "tvm_rank.bench.peers.remote:Remote"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Another engine: where its contestant is, and the line that installs what it needs."""

    entry: str
    pip: str


BASELINES = {
    "onnxruntime": Baseline(
        entry="tvm_rank.bench.peers.onnxruntime_peer:OnnxRuntime", pip="pip install onnxruntime onnx pyarrow pyfarmhash"
    ),
    "tensorflow": Baseline(entry="tvm_rank.bench.peers.tensorflow_peer:TensorFlow", pip="pip install tensorflow-cpu onnx pyarrow"),
    "torch": Baseline(entry="tvm_rank.bench.peers.torch_peer:Torch", pip="pip install torch onnx pyarrow pyfarmhash"),
}


class Refusal(BenchError):
    """A contestant cannot do what it was asked for: it is named in the report, and the others go on."""


class Process:
    """A contestant in a process of its own, which Ctrl-C in the terminal does not reach: who started it also ends it."""

    def __init__(self, name: str, entry: str, python: str | None = None):
        self.name, self.entry = name, entry
        self.python = python or sys.executable
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        if python is None:
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        else:
            environment.pop("PYTHONPATH", None)
        command = [self.python, "-c", BOOT, str(pathlib.Path(tvm_rank.__file__).parent), entry]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            raise BenchError(f"{name}: {self.python} cannot be started ({error}); give its path with --baseline-python") from error

    def ask(self, **asked: Any) -> dict[str, Any]:
        """One line there, one back. Raises Refusal, or BenchError when the process failed or died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            ready = select.select([self._process.stdout], [], [], LIMIT_S)[0]
            line = self._process.stdout.readline() if ready else ""
        except BrokenPipeError:
            line = ""
        if not line:
            raise BenchError(f"{self.name}: its process gave no answer to {asked['do']!r}; it said:\n{self._told()}")
        reply: dict[str, Any] = json.loads(line)
        if "missing" in reply:
            raise Refusal(self._missing(reply["missing"]))
        if "refused" in reply:
            raise Refusal(f"{self.name}: {reply['refused']}")
        if "failed" in reply:
            raise BenchError(f"{self.name}: {reply['failed']}")
        return reply

    def _missing(self, module: str) -> str:
        pip = next((one.pip for one in BASELINES.values() if one.entry == self.entry), "pip install tvm-rank")
        return (
            f"{self.name}: {self.python} has no {module}; install it with `{pip}`, or name an interpreter that has it with "
            f"--baseline-python {self.name}=PATH"
        )

    def _told(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip()[-TOLD:]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()


def python_of(name: str, pythons: Mapping[str, str]) -> str:
    """The interpreter of a baseline: the one that was named, else this one."""
    return pythons.get(name, sys.executable)
