"""The artifacts of a workload: for this machine, and for servers of an RPC tracker."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm_rank.bench import lookups
from tvm_rank.bench.contest import OWN, REMOTE
from tvm_rank.bench.results import engine_name
from tvm_rank.zoo.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Build:
    """An artifact of a target and a precision. server: the key of the servers that it is for, "" for this machine · probe: the library that
    looks at such a server (`probe.py`)."""

    target: str
    precision: str
    artifact: pathlib.Path
    server: str = ""
    probe: pathlib.Path | None = None

    @property
    def name(self) -> str:
        """As tables show it."""
        return engine_name(self.target, self.precision, self.server)

    @property
    def entry(self) -> str:
        """The contestant that runs it."""
        return REMOTE if self.server else OWN


def local_build(workload: Workload, folder: pathlib.Path, target: str, precision: str, say: Callable[[str], None]) -> Build:
    """Compile for this machine, with the kernels without lookups beside it, unless it is there."""
    from tvm_rank.target import resolve

    path, resolved = folder / _name(target, precision), resolve(target)
    if not path.exists():
        made = _compiled(workload, target, precision, say)
        if not resolved.is_gpu:
            lookups.write(made, resolved.tvm_target, path)
        made.save(path)
    return Build(target=target, precision=precision, artifact=path)


def server_build(
    workload: Workload, folder: pathlib.Path, target: str, precision: str, say: Callable[[str], None], *, turns: int, key: str
) -> Build:
    """Compile for servers, with a function that ranks so many requests in turn, unless it is there."""
    from tvm_rank.bench import probe
    from tvm_rank.schedule import Schedule
    from tvm_rank.target import resolve

    path, machine = folder / f"{_name(target, precision)}-{turns}-turns", resolve(target).machine
    look = folder / f"probe-{machine}.so"
    if not path.exists():
        _compiled(workload, target, precision, say, tuning=Schedule(turns=turns)).save(path)
    if not look.exists():
        aside = look.with_name(f"half-{look.name}")
        probe.write(machine, aside)
        aside.replace(look)
    return Build(target=target, precision=precision, artifact=path, server=key, probe=look)


def _name(target: str, precision: str) -> str:
    """Of a folder; a target may be JSON."""
    return f"{re.sub(r'[^a-zA-Z0-9_.-]+', '_', target)}-{precision}"


def _compiled(workload: Workload, target: str, precision: str, say: Callable[[str], None], **more: Any) -> Any:
    from tvm_rank.compiler import compile

    return compile(
        features=workload.features,
        model=workload.model,
        tables=workload.tables,
        target=target,
        precision=precision,
        progress=lambda stage: say(f"{target} {precision}: {stage}"),
        **more,
    )
