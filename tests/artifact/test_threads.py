"""Threads that share one engine."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
import small_model

import tvm_rank
from tvm_rank.errors import InputError

THREADS, RANKS = 8, 50


@pytest.mark.parametrize("make", [dict, pa.table], ids=["columns", "tables"])
def test_eight_threads_on_one_engine_give_the_scores_of_one(engine: tvm_rank.Engine, make: type):
    """Each thread scores another number of items, of other types in turn, so that buffers and plans would show if they were shared."""
    cases = []
    for thread in range(THREADS):
        items = small_model.items(20 + 7 * thread)
        if thread % 2:
            items["item_id"] = pa.array(np.arange(len(items["price"])))
        cases.append((make(small_model.user()), make(items)))
    expected = [engine.rank(user=user, items=items)["score"] for user, items in cases]

    def work(thread: int) -> int:
        user, items = cases[thread]
        return sum(np.array_equal(engine.rank(user=user, items=items)["score"], expected[thread]) for _ in range(RANKS))

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(work, range(THREADS))) == [RANKS] * THREADS


def test_a_refused_request_of_one_thread_does_not_disturb_the_others(engine: tvm_rank.Engine):
    good, bad = small_model.user(), small_model.user() | {"hour": pa.array(["noon"])}
    expected = engine.rank(user=good, items=small_model.items())["score"]

    def work(thread: int) -> bool:
        for _ in range(RANKS // 2):
            if thread % 2:
                with pytest.raises(InputError, match="feature 'hour', row 0"):
                    engine.rank(user=bad, items=small_model.items())
            elif not np.array_equal(engine.rank(user=good, items=small_model.items())["score"], expected):
                return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(work, range(THREADS)))


def test_the_number_of_threads_does_not_change_the_scores(saved, engine: tvm_rank.Engine):
    items = small_model.items(500)
    one = tvm_rank.load(saved, threads=1)
    assert one.threads == 1
    got = one.rank(user=small_model.user(), items=items)["score"]
    assert np.array_equal(got, engine.rank(user=small_model.user(), items=items)["score"])


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_a_number_of_threads_that_is_none_is_refused(saved, threads: object):
    with pytest.raises(tvm_rank.RankError, match="threads="):
        tvm_rank.load(saved, threads=threads)


FORKS = """
import os, signal, sys, warnings
import numpy as np
import tvm_rank
sys.path.insert(0, {folder!r})
import small_model
engine = tvm_rank.load({artifact!r}, threads=2)
request = {{"user": small_model.user(), "items": small_model.items(500)}}
wanted = engine.rank(**request)["score"]
child = os.fork()
if child == 0:
    signal.alarm(60)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        same = all(np.array_equal(engine.rank(**request)["score"], wanted) for _ in range(3))
    assert ["has one thread since the process was forked" in str(one.message) for one in told] == [True], told
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2) as pool:
        same = same and all(np.array_equal(got["score"], wanted) for got in pool.map(lambda _: engine.rank(**request), range(8)))
    os._exit(0 if same else 3)  # as multiprocessing does
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(engine.rank(**request)["score"], wanted)
"""


def test_an_engine_that_was_used_before_a_fork_works_in_the_child(saved, tmp_path):
    """On one thread, which it says; threads of the child have all."""
    program = FORKS.format(folder=str(pathlib.Path(small_model.__file__).parent), artifact=str(saved))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
