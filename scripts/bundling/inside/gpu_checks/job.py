"""All steps of the command, each in a process of its own: an error of the driver ends one of them, and the others go on.

The results are written behind each, so that whatever ends the command leaves those until there.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpu_checks.text import text_of

WRONG, USE, NO_GPU, INTERRUPTED = 1, 2, 3, 130
MOST_STDERR = 4000  # characters of it that the JSON keeps, half of them the first
MOST_LINE = 500
JSON, TEXT = "results.json", "results.txt"


def run(bundle: pathlib.Path, says: Mapping[str, Any], options: argparse.Namespace) -> int:
    """Do all steps, write both files, and give the exit status."""
    arch, why = ("cpu", "") if options.cpu else _arch(says["artifacts"])
    if why:
        print(f"run.py: {why}", file=sys.stderr)
        return NO_GPU
    here: list[str] = says["artifacts"].get(arch, [])
    wanted = options.models or here
    if unknown := sorted(set(wanted) - set(here)):
        print(f"run.py: --models {' '.join(unknown)}: the bundle has for {arch}: {', '.join(here)}", file=sys.stderr)
        return USE
    steps = _Steps(bundle, arch, options)
    results: dict[str, Any] = {"bundle": says["made"], "arch": arch}
    try:
        for _ in _done(steps, results, says, wanted, options):
            if why := _written(options.out, results):
                print(f"{text_of(results)}\nrun.py: the results cannot be written ({why}); give another --out", file=sys.stderr)
                return WRONG
    except KeyboardInterrupt:
        print("\nrun.py: interrupted; what was done until here is written", file=sys.stderr)
        return INTERRUPTED
    print(f"\n{text_of(results)}\nwritten: {options.out / JSON}, {options.out / TEXT}")
    return 0 if results["ok"] else WRONG


def _done(
    steps: _Steps, results: dict[str, Any], says: Mapping[str, Any], wanted: Sequence[str], options: argparse.Namespace
) -> Iterator[None]:
    """Do all steps, and put what each finds into the results, "ok" behind the last one; gives a turn behind each."""
    here = says["artifacts"][results["arch"]]
    results["machine"] = steps("machine")
    yield
    for name in wanted:
        results.setdefault("checks", {})[name] = steps("check", artifact=name)
        yield
    results["copies"] = steps("copies")
    yield
    for name, known in says["requests"].items():
        if name in here:
            asked = {"artifact": name, "requests": known["requests"]}
            results[name] = {"sizes": steps("bench", **asked, sizes=known["sizes"])}
            yield
            results[name]["kernels"] = steps("kernels", **asked, rows=known["kernels_at"])
            yield
    if not options.no_torch and "rank_bench" in results:
        rows = says["requests"]["rank_bench"]["sizes"]
        results["torch"] = steps("torch", python=options.torch, artifact="rank_bench", sizes=rows)
    results["ok"] = not steps.failed and all(one.get("ok") for one in results["checks"].values())
    yield


def _written(folder: pathlib.Path, results: Mapping[str, Any]) -> str:
    """Write both files aside and rename them; why that cannot be done, or ""."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, written in ((JSON, json.dumps(results, indent=1) + "\n"), (TEXT, text_of(results))):
            aside = folder / f".{name}.{os.getpid()}"
            aside.write_text(written, encoding="utf-8")
            aside.replace(folder / name)
    except OSError as error:
        return str(error)
    return ""


def _arch(artifacts: Mapping[str, Any]) -> tuple[str, str]:
    """(which artifacts of the bundle run on this machine's GPU, "") or ("", why none do)."""
    from tvm_rank.errors import RankError
    from tvm_rank.runtime import gpu

    archs = sorted((name for name in artifacts if name != "cpu"), reverse=True)
    try:
        here, why = gpu.capability()
    except RankError as error:
        return "", str(error)
    if not here:
        return "", f"{why}; the bundle is for GPUs with {', '.join(archs)}; `--cpu` tests it without one"
    fitting = [arch for arch in archs if gpu.runs(arch, here)]
    return (fitting[0], "") if fitting else ("", f"this machine's GPU has sm_{here}; the bundle is for {', '.join(archs)}")


class _Steps:
    """Runs steps (`steps.py`, `torch_peer.py`); `failed` says whether any gave no result."""

    def __init__(self, bundle: pathlib.Path, arch: str, options: argparse.Namespace):
        self._bundle, self._arch, self._seconds, self._limit = bundle, arch, options.seconds, options.limit
        self._scratch = tempfile.TemporaryDirectory(prefix="gpu-checks-")
        self.failed = False

    def __call__(self, step: str, python: str = sys.executable, sizes: list[int] | None = None, **given: Any) -> dict[str, Any]:
        """The result of a step, {"failed": why} or, of a peer that is not there, {"missing": what}."""
        shown = " ".join([step, *filter(None, [given.get("artifact")])])
        print(f"{shown} ...", end=" ", flush=True)
        asked = {"step": step, "arch": self._arch, "seconds": self._seconds, "sizes": sizes or [], "scratch": self._scratch.name}
        command = [python, "-m", "gpu_checks.steps" if step != "torch" else "gpu_checks.torch_peer", str(self._bundle)]
        started = time.perf_counter()
        limit = self._limit + 4 * self._seconds * max(1, len(sizes or []))
        try:
            done = subprocess.run([*command, json.dumps(asked | given)], capture_output=True, text=True, timeout=limit, check=False)
            result = _result(done)
        except (subprocess.TimeoutExpired, OSError) as error:
            result = {"failed": str(error)[-300:]}
        self.failed = self.failed or "failed" in result
        wrong = "failed" in result or result.get("ok") is False
        state = "FAILED" if wrong else f"not there: {why}" if (why := result.get("missing")) else "done"
        print(f"{state} ({time.perf_counter() - started:.1f} s)", flush=True)
        return result


def _result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON of the last line, if the process ended well."""
    if done.returncode == 0:
        try:
            return dict(json.loads(done.stdout.splitlines()[-1]))
        except (ValueError, IndexError):
            pass
    lines = done.stderr.strip().splitlines()
    said = done.stderr
    if len(said) > MOST_STDERR:
        said = f"{said[: MOST_STDERR // 2]}\n...\n{said[-MOST_STDERR // 2 :]}"
    return {"failed": f"exit status {done.returncode}: {lines[-1][:MOST_LINE] if lines else 'without a word'}", "stderr": said}
