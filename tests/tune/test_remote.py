"""Measuring over RPC: a tracker and two servers on this machine, one of which is killed in the middle."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from doubled import EFFORT, ROWS, Doubled
from tvm.rpc.tracker import Tracker as TrackerProcess

from tvm_rank.errors import TuningError
from tvm_rank.target import resolve
from tvm_rank.tune.measure import candidate
from tvm_rank.tune.remote import RemoteMeasurer, Tracker

KEY = "tests"
START_S = 60


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    process = TrackerProcess("127.0.0.1", 9390, 9490, silent=True)
    yield Tracker.of(f"127.0.0.1:{process.port}", KEY)
    process.terminate()


def started(tracker: Tracker) -> subprocess.Popen:
    """A server, of TVM's runtime alone."""
    command = [sys.executable, "-m", "tvm.exec.rpc_server", "--host", "127.0.0.1", "--port", "9500", "--port-end", "9600"]
    command += ["--tracker", f"{tracker.host}:{tracker.port}", "--key", tracker.key, "--silent"]
    environment = {**os.environ, "TVM_USE_RUNTIME_LIB": "1", "TVM_BIND_THREADS": "0"}
    return subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def servers(tracker: Tracker) -> Iterator[list[subprocess.Popen]]:
    processes = [started(tracker) for _ in range(2)]
    try:
        until = time.monotonic() + START_S
        while tracker.config.count_num_servers() < len(processes):
            assert time.monotonic() < until, "the servers do not start"
            time.sleep(0.2)
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_server_that_is_killed_costs_no_trial(tracker: Tracker, servers: list[subprocess.Popen], tmp_path: pathlib.Path):
    task = Doubled()
    with RemoteMeasurer(resolve("cpu"), 1, tmp_path, tracker) as measurer:
        assert measurer.servers == 2
        (prepared,) = measurer.prepare([task], ROWS)
        right, wrong = measurer.build([candidate(task, {"mode": mode}) for mode in ("right", "wrong")])
        found = []
        for built, timed in measurer.measure_all(prepared, [right, wrong, right, right, right], EFFORT):
            if not found:
                os.killpg(servers[0].pid, signal.SIGKILL)
            found.append((built, timed))
        times = [timed for built, timed in found if built is right]
        assert [timed.error for timed in times] == [""] * 4
        assert all(len(timed.seconds) == len(ROWS) for timed in times)
        (error,) = [timed.error for built, timed in found if built is wrong]
        assert "differs from the default kernel's" in error


def test_a_tracker_without_servers_says_how_to_start_one(tracker: Tracker):
    with pytest.raises(
        TuningError, match=rf"no server with the key 'tests' .*rpc_server --tracker {tracker.host}:{tracker.port} --key tests"
    ):
        tracker.servers()


def test_a_tracker_that_does_not_answer_says_how_to_start_it():
    with pytest.raises(TuningError, match=r"no tracker answers at 127.0.0.1:9 .*python -m tvm.exec.rpc_tracker --port 9"):
        Tracker.of("127.0.0.1:9", KEY).servers()


@pytest.mark.parametrize(("address", "key"), [("box", "k"), ("box:", "k"), (":1", "k"), ("box:99999", "k"), ("box:1", "")])
def test_addresses_that_are_none_are_refused(address: str, key: str):
    with pytest.raises(TuningError, match="give"):
        Tracker.of(address, key)
