"""A tracker of TVM's on this machine, and servers that have its runtime alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from tvm.rpc.tracker import Tracker as TrackerProcess

from tvm_rank.errors import RpcError
from tvm_rank.tracker import Tracker

KEY = "tests"
START_S = 60


@contextlib.contextmanager
def tracker_alone() -> Iterator[Tracker]:
    """A tracker without servers."""
    process = TrackerProcess("127.0.0.1", 9390, 9490, silent=True)
    try:
        yield Tracker.of(f"127.0.0.1:{process.port}", KEY)
    finally:
        process.terminate()


def started(tracker: Tracker, *options: str, **variables: str) -> subprocess.Popen:
    """A server, of TVM's runtime alone, with further options and environment variables."""
    command = [sys.executable, "-m", "tvm.exec.rpc_server", "--host", "127.0.0.1", "--port", "9500", "--port-end", "9600"]
    command += ["--tracker", f"{tracker.host}:{tracker.port}", "--key", tracker.key, "--silent", *options]
    environment = {**os.environ, "TVM_USE_RUNTIME_LIB": "1", "TVM_BIND_THREADS": "0", **variables}
    return subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def killed(server: subprocess.Popen) -> None:
    """End a server and its sessions, without a word."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


@contextlib.contextmanager
def servers_of(tracker: Tracker, count: int, *options: str, **variables: str) -> Iterator[list[subprocess.Popen]]:
    """So many servers, which have registered, as `started` has them."""
    processes = [started(tracker, *options, **variables) for _ in range(count)]
    try:
        until = time.monotonic() + START_S
        while known(tracker) < count:
            assert time.monotonic() < until, "the servers do not start"
            time.sleep(0.2)
        yield processes
    finally:
        for process in processes:
            killed(process)


def known(tracker: Tracker) -> int:
    """How many servers the tracker knows."""
    try:
        return tracker.servers()
    except RpcError:
        return 0
