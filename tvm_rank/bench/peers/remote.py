"""The engine's kernels on a server of an RPC tracker, as a contestant. A server that dies is replaced by another one of its key."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np

from tvm_rank.artifact import store
from tvm_rank.bench.over_rpc import RemoteMachine, RemoteModel
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.bench.peers.serve import Calls, Contestant, Refused, machine_seconds
from tvm_rank.errors import RankError
from tvm_rank.tracker import Tracker

SESSION_S = 3600  # which a server ends then, so that one is free again whose client is gone without a word
CHANCES = 3  # servers that may die over one question
T = TypeVar("T")


class Remote(Contestant):
    """All models that servers of one key run, on one server at a time. Opened for each with a `model` (its name, which further questions
    have too), the `artifact`, `probe` (`bench/probe.py`), `folder`, `requests`, `threads`, `tracker` and `key`."""

    def __init__(self) -> None:
        self._models: dict[str, _Model] = {}
        self._session: Any = None
        self._machines: dict[str, RemoteMachine] = {}  # of the session, by the library that looks at them

    def open(self, given: dict[str, Any]) -> None:
        one = _Model(self, given)
        one.open(given)
        self._models[given["model"]] = one

    def chosen(self, asked: dict[str, Any]) -> Contestant:
        return self._models[asked["model"]]

    def session(self, tracker: Tracker) -> Any:
        """With the server in use, or with another one when it has died. Raises RpcError."""
        if self._session is None:
            self._session, self._machines = tracker.session(SESSION_S), {}
        return self._session

    def machine(self, probe: str, kind: str, where: str) -> RemoteMachine:
        """The server's machine, of a kind. A file that is loaded there must not be written again."""
        if probe not in self._machines:
            self._machines[probe] = RemoteMachine(self._session, pathlib.Path(probe), kind, where)
        return self._machines[probe]

    def leave(self) -> None:
        """Forget the server, and what is there."""
        self._session = None


class _Model(Contestant):
    """One of them."""

    parts = ("all",)

    def __init__(self, servers: Remote, given: dict[str, Any]):
        self._servers, self._given, self._folder = servers, given, pathlib.Path(given["artifact"])
        self._tracker = Tracker.of(given["tracker"], given["key"])
        self._manifest = store.read(self._folder)
        self._there: tuple[Any, RemoteModel] | None = None  # the session, the model on its server
        self._items, self._died, self._processor = 0, 0, ""

    def open(self, given: dict[str, Any]) -> None:
        import tvm_rank

        if self._manifest.links or self._manifest.host_stages:
            raise Refused("library calls before the kernels are not there on a server, which has TVM's runtime only")
        tiles = self._on_server(lambda model: model.has_tiles)
        self.versions = {"tvm-rank": tvm_rank.__version__}
        processor = f"{self._processor}, with AMX" if tiles else self._processor
        self.about = (
            f"on a server of the key {given['key']} ({processor}), by its clock, from columns to scores without Python's part; "
            "its kernels and ceilings are not measured one by one"
        )

    def _model(self) -> RemoteModel:
        given, manifest, session = self._given, self._manifest, self._servers.session(self._tracker)
        if self._there is None or self._there[0] is not session:
            machine = self._servers.machine(given["probe"], manifest.machine, f"a server of the key {given['key']!r}")
            self._processor = machine.check(manifest.needs)
            self._there = session, RemoteModel(session, machine, self._folder, manifest, given["threads"])
            self._items = 0
        return self._there[1]

    def _on_server(self, ask: Callable[[RemoteModel], T], items: int = 0) -> T:
        """What a server answers that has the requests of so many items, any for 0; another one is taken when it dies. Raises Refused."""
        for _ in range(CHANCES):
            try:
                model = self._model()
                if items not in (0, self._items):
                    model.bring(read_requests(self._given["folder"], self._given["requests"], items))
                    self._items = items
                return ask(model)
            except RankError as error:
                raise Refused(f"{error}{self._told_of_dead()}") from error
            except Exception as error:  # of any kind: what TVM raises says only that nothing came back
                self._there, last = None, error
                self._servers.leave()
                self._died += 1
        raise Refused(f"{CHANCES} servers of the key {self._given['key']!r} died, the last one with: {_short(last)}")

    def _told_of_dead(self) -> str:
        if not self._died:
            return ""
        return f" ({self._died} server{'s' if self._died > 1 else ''} of this key died in the middle)"

    def calls(self, items: int, part: str) -> Calls:
        assert part == "all", "the engine has no other part"

        def scores(model: RemoteModel) -> list[dict[str, np.ndarray]]:
            model.turn()
            return [model.scores(request) for request in range(model.count)]

        return [partial(dict, found) for found in self._on_server(scores, items)]

    def round(self, _calls: Calls, asked: dict[str, Any]) -> dict[str, Any]:
        """Turns of all requests, by the server's clocks."""
        found = self._on_server(partial(_turns, seconds=asked["seconds"]), asked["items"])
        return {**found, "note": self._told_of_dead().strip(" ()")}


def _turns(model: RemoteModel, seconds: float) -> dict[str, Any]:
    """A round's figures, as `serve.Server` has them."""
    model.turn()
    times: list[np.ndarray] = []
    before, started = machine_seconds(model.machine.text("/proc/stat")), time.perf_counter()
    end = started + seconds
    while not times or time.perf_counter() < end:
        times.append(np.diff(model.turn(), axis=0))
    wall, after = time.perf_counter() - started, machine_seconds(model.machine.text("/proc/stat"))
    busy, used = np.concatenate(times).sum(axis=0) / 1e9
    return {
        "times_us": [round(float(one) / 1e3, 2) for one in np.concatenate(times)[:, 0]],
        "cpu_s": float(used),
        "wall_s": float(busy),
        "foreign": max(0.0, (after[0] - before[0] - float(used)) / wall),
        "steal": (after[1] - before[1]) / wall,
    }


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:200]}" if lines else type(error).__name__
