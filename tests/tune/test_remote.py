"""Measuring over RPC: a tracker and two servers on this machine, one of which is killed in the middle."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
from cases.rpc_servers import KEY, killed, servers_of, tracker_alone
from delayed import AWAY, delayed
from doubled import EFFORT, ROWS, Doubled

from tvm_rank.errors import RpcError
from tvm_rank.target import resolve
from tvm_rank.tracker import Tracker
from tvm_rank.tune import remote
from tvm_rank.tune.measure import Effort, candidate
from tvm_rank.tune.remote import RemoteMeasurer


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    with tracker_alone() as found:
        yield found


@pytest.fixture
def servers(tracker: Tracker) -> Iterator[list[subprocess.Popen]]:
    with servers_of(tracker, 2) as processes:
        yield processes


def test_a_server_that_is_killed_costs_no_trial(tracker: Tracker, servers: list[subprocess.Popen], tmp_path: pathlib.Path):
    task = Doubled()
    with RemoteMeasurer(resolve("cpu"), 1, tmp_path, tracker) as measurer:
        assert measurer.servers == 2
        (prepared,) = measurer.prepare([task], ROWS)
        right, wrong = measurer.build([candidate(task, {"mode": mode}) for mode in ("right", "wrong")])
        found = []
        for built, timed in measurer.measure_all(prepared, [right, wrong, right, right, right], EFFORT):
            if not found:
                killed(servers[0])
            found.append((built, timed))
        times = [timed for built, timed in found if built is right]
        assert [timed.error for timed in times] == [""] * 4
        assert all(len(timed.seconds) == len(ROWS) for timed in times)
        (error,) = [timed.error for built, timed in found if built is wrong]
        assert "differs from the default kernel's" in error


def test_a_session_may_take_the_round_trips_to_a_server_far_away(
    tracker: Tracker, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """Round trips of 20 ms take longer than all that a session may otherwise take here; a kernel that hangs is ended all the same."""
    monkeypatch.setattr(remote, "SESSION_S", 2.0)
    monkeypatch.setattr(remote, "REQUESTS", 2)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--port", str(port), "--port-end", str(port + 1), "--custom-addr", AWAY)
    with (
        delayed(port, 0.01),
        servers_of(tracker, 1, *options),
        RemoteMeasurer(resolve("cpu"), 1, tmp_path, tracker) as measurer,
    ):
        task = Doubled()
        assert 0.02 <= measurer.round_trip_s < 0.2
        (prepared,) = measurer.prepare([task], ROWS)
        right, hang = measurer.build([candidate(task, {"mode": mode}) for mode in ("right", "hang")])
        begun = time.monotonic()
        timed = measurer.measure(prepared, right, Effort(rounds=36, runs=1))
        assert (timed.error, len(timed.seconds)) == ("", len(ROWS))
        assert remote.SESSION_S < time.monotonic() - begun < measurer.session_s
        monkeypatch.setattr(remote, "CHANCES", 1)
        assert measurer.measure(prepared, hang, EFFORT).error
        assert time.monotonic() - begun < 60


def test_a_tracker_without_servers_says_how_to_start_one(tracker: Tracker):
    with pytest.raises(
        RpcError, match=rf"no server with the key 'tests' .*rpc_server --tracker {tracker.host}:{tracker.port} --key tests"
    ):
        tracker.servers()


def test_a_tracker_that_does_not_answer_says_how_to_start_it():
    with pytest.raises(RpcError, match=r"no tracker answers at 127.0.0.1:9 .*python -m tvm.exec.rpc_tracker --port 9"):
        Tracker.of("127.0.0.1:9", KEY).servers()


@pytest.mark.parametrize(("address", "key"), [("box", "k"), ("box:", "k"), (":1", "k"), ("box:99999", "k"), ("box:1", "")])
def test_addresses_that_are_none_are_refused(address: str, key: str):
    with pytest.raises(RpcError, match="give"):
        Tracker.of(address, key)
