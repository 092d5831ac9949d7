"""TVM's RPC tracker: where other machines, which need TVM's runtime only, wait to be measured on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tvm_rank.errors import RpcError

CONNECT_S = 5.0  # until a tracker answers
FREE_S, AWAY_S, POLL_S = 60.0, 10.0, 0.5  # until a server is free that others use, until one is back that has just ended a session

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Tracker:
    """An RPC tracker, and the key under which the servers to measure on have registered."""

    host: str
    port: int
    key: str

    @classmethod
    def of(cls, address: str, key: str) -> Tracker:
        """From `host:port`. Raises RpcError for anything else."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise RpcError(f"tracker {address!r}: give host:port")
        if not key or ":" in key:
            raise RpcError(f"key {key!r}: give the key that the servers were started with")
        return cls(host=host, port=int(port), key=key)

    def servers(self) -> int:
        """How many servers there are. Raises RpcError when there is none, or no tracker."""
        if not (count := self._state()[0]):
            raise self._no_server()
        return count

    def session(self, limit_s: float) -> Any:
        """A session (`tvm.rpc.RPCSession`) with a server that nobody uses, which ends it after `limit_s`. Raises RpcError when none is free
        for FREE_S, or none there for AWAY_S."""
        started = time.monotonic()
        while not (state := self._state())[1]:
            waited = time.monotonic() - started
            if not state[0] and waited > AWAY_S:
                raise self._no_server()
            if waited > FREE_S:
                raise RpcError(
                    f"no server with the key {self.key!r} at {self.host}:{self.port} was free for {FREE_S:.0f} s: others use all "
                    f"{state[0]}; wait for them, or start another one with `{self.start}`"
                )
            time.sleep(POLL_S)

        def connected() -> Any:
            from tvm import rpc

            with contextlib.closing(rpc.connect_tracker(self.host, self.port)) as tracker:
                return tracker.request(self.key, session_timeout=limit_s, max_retry=2)

        return self._within(FREE_S, connected)

    @property
    def start(self) -> str:
        """The command that starts a server."""
        return f"TVM_USE_RUNTIME_LIB=1 TVM_BIND_THREADS=0 python -m tvm.exec.rpc_server --tracker {self.host}:{self.port} --key {self.key}"

    def _no_server(self) -> RpcError:
        return RpcError(f"no server with the key {self.key!r} is at {self.host}:{self.port}; start some with `{self.start}`")

    def _state(self) -> tuple[int, int]:
        """(servers with the key, those that are free)."""

        def asked() -> Any:
            from tvm import rpc

            socket.create_connection((self.host, self.port), timeout=CONNECT_S).close()
            with contextlib.closing(rpc.connect_tracker(self.host, self.port)) as tracker:
                return tracker.summary()

        found = self._within(2 * CONNECT_S, asked)
        count = sum(one["key"] == f"server:{self.key}" for one in found["server_info"])
        return count, int(found["queue_info"].get(self.key, {}).get("free", 0))

    def _within(self, limit_s: float, call: Callable[[], T]) -> T:
        """What a call gives, which may wait for a machine that is gone. Raises RpcError when it fails, or takes longer."""
        results: list[T] = []
        errors: list[BaseException] = [TimeoutError(f"{limit_s:.0f} s without an answer")]

        def run() -> None:
            try:
                results.append(call())
            except (OSError, ValueError, RuntimeError) as error:
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(limit_s)
        if not results:
            command = f"python -m tvm.exec.rpc_tracker --port {self.port} --port-end {self.port + 1}"
            raise RpcError(f"no tracker answers at {self.host}:{self.port} ({errors[-1]}); start one with `{command}`") from errors[
                -1
            ]
        return results[0]
