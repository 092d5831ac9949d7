"""Measuring over RPC: a tracker and two servers on this machine, one of which is killed in the middle."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator

import pytest
from cases.rpc_servers import KEY, killed, servers_of, tracker_alone
from doubled import EFFORT, ROWS, Doubled

from tvm_rank.errors import RpcError
from tvm_rank.target import resolve
from tvm_rank.tracker import Tracker
from tvm_rank.tune.measure import candidate
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
