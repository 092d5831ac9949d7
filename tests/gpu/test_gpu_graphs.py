"""CUDA graphs of requests whose shape comes again, on an emulated GPU: the same bits, one launch, and what happens where there can be none."""

from __future__ import annotations

import ctypes
import pathlib
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpu_store_model import ITEMS, key

import tvm_rank
from tvm_rank.runtime import gpu_graphs
from tvm_rank.runtime.profile import profile

pytestmark = pytest.mark.usefixtures("emulated")
Make = Callable[[str], pathlib.Path]


@pytest.fixture
def engine(gpu_store: Make) -> tvm_rank.Engine:
    return tvm_rank.load(gpu_store("dense"))


def request(count: int, seed: int, requests: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng([count, seed])
    users = {"city": [f"city {k}" for k in rng.integers(0, 9, requests)]}
    of = {"item_request": rng.integers(0, requests, count)} if requests > 1 else {}
    return {"user": users, "item_ids": [key("number", int(k)) for k in rng.integers(0, ITEMS + 3, count)], **of}


def graphs_of(engine: tvm_rank.Engine) -> gpu_graphs.Graphs:
    machine = engine.machines.take()
    engine.machines.give_back(machine)
    return machine._graphs


def test_scores_have_the_same_bits_with_and_without_graphs(gpu_store: Make, engine: tvm_rank.Engine, emulated: ctypes.CDLL):
    plain, before = tvm_rank.load(gpu_store("dense"), cuda_graphs=False), emulated.emulated_graphs()
    shapes = [(5, 1), (33, 1), (5, 2), (70, 1)]
    for seed in range(5):
        for count, requests in shapes:
            ask = request(count, seed, requests)
            got, wanted = engine.rank(**ask), plain.rank(**ask)
            np.testing.assert_array_equal(got["score"], wanted["score"])
            np.testing.assert_array_equal(got.missing, wanted.missing)
    assert emulated.emulated_graphs() - before == len(shapes) * 3  # of five requests, from the third on


def test_a_request_whose_shape_was_seen_is_one_copy_and_one_graph(engine: tvm_rank.Engine, emulated: ctypes.CDLL):
    for seed in range(3):
        engine.rank(**request(9, seed))
    counters = [getattr(emulated, f"emulated_{what}") for what in ("graphs", "copies")]
    before = [counter() for counter in counters]
    engine.rank(**request(9, 7))
    results = len(engine.manifest.outputs) + len(engine.manifest.refusals)
    assert [counter() - was for counter, was in zip(counters, before, strict=True)] == [1, 1 + results]


def test_a_graph_holds_the_memory_that_its_kernels_use(engine: tvm_rank.Engine):
    for seed in range(3):
        engine.rank(**request(9, seed))
    (graph,) = graphs_of(engine)._graphs.values()
    assert len(graph.memory) >= len([kernel for kernel in engine.manifest.kernels if kernel["calls"]])


def test_graphs_are_made_again_when_the_memory_of_requests_has_moved(engine: tvm_rank.Engine, gpu_store: Make):
    for seed in range(3):
        engine.rank(**request(9, seed))
    plain, long = tvm_rank.load(gpu_store("dense"), cuda_graphs=False), "long" * 500_000
    items = request(9, 3)["item_ids"]
    for city in (long, "city 1", "city 2", "city 3"):
        ask = {"user": {"city": [city]}, "item_ids": items}
        np.testing.assert_array_equal(engine.rank(**ask)["score"], plain.rank(**ask)["score"])
    assert list(graphs_of(engine)._graphs) == [(1, 9)]


def test_few_graphs_are_kept_and_none_chases_another(engine: tvm_rank.Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu_graphs, "KEPT", 2)
    for seed in range(4):
        for count in (3, 4, 5):
            engine.rank(**request(count, seed))
    assert list(graphs_of(engine)._graphs) == [(1, 3), (1, 4)]
    monkeypatch.setattr(gpu_graphs, "IDLE", 1)
    engine.rank(**request(4, 9))
    engine.rank(**request(5, 9))
    assert list(graphs_of(engine)._graphs) == [(1, 4), (1, 5)]


def test_where_no_graph_can_be_made_kernels_are_launched_with_a_warning(
    gpu_store: Make, engine: tvm_rank.Engine, emulated: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
):
    wanted = tvm_rank.load(gpu_store("dense"), cuda_graphs=False).rank(**request(9, 3))["score"]
    monkeypatch.setenv("EMULATED_NO_GRAPHS", "1")
    for seed in range(3 * gpu_graphs.MOST_FAILURES - 1):  # it is tried behind each three
        engine.rank(**request(9, seed))
    with pytest.warns(RuntimeWarning, match="no CUDA graph can be made of a request .*error 801"):
        np.testing.assert_array_equal(engine.rank(**request(9, 3))["score"], wanted)
    before = emulated.emulated_graphs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(engine.rank(**request(9, 3))["score"], wanted)
    assert emulated.emulated_graphs() == before


def test_a_capture_that_breaks_in_the_middle_leaves_a_stream_that_works(
    engine: tvm_rank.Engine, emulated: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
):
    """As when another library waits for the whole device meanwhile; the next three requests have their graph."""
    for seed in range(2):
        wanted = engine.rank(**request(9, seed))["score"]
    before, ask = emulated.emulated_graphs(), gpu_graphs.Results.ask
    with monkeypatch.context() as patched:
        patched.setattr(gpu_graphs.Results, "ask", _with_another(ask, emulated.cudaDeviceSynchronize))
        np.testing.assert_array_equal(engine.rank(**request(9, 1))["score"], wanted)
    assert emulated.emulated_graphs() == before
    for _ in range(4):
        np.testing.assert_array_equal(engine.rank(**request(9, 1))["score"], wanted)
    assert emulated.emulated_graphs() == before + 2


def _with_another(ask: Callable[..., None], call: Callable[[], int]) -> Callable[..., None]:
    """As `ask`, and another thread calls something meanwhile."""

    def ask_meanwhile(self: gpu_graphs.Results, tensors: Any, stream: Any) -> None:
        ask(self, tensors, stream)
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    return ask_meanwhile


def test_engines_are_loaded_while_others_make_graphs(gpu_store: Make, engine: tvm_rank.Engine):
    wanted = tvm_rank.load(gpu_store("dense"), cuda_graphs=False).rank(**request(9, 3))["score"]
    stop, failures = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            try:
                tvm_rank.load(gpu_store("dense")).rank(**request(5, 1))
            except Exception as error:
                failures.append(error)

    loading = threading.Thread(target=load)
    loading.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for count in range(3, 9):
                for seed in range(4):
                    engine.rank(**request(count, seed))
                np.testing.assert_array_equal(engine.rank(**request(9, 3))["score"], wanted)
    finally:
        stop.set()
        loading.join()
    assert not failures
    assert len(graphs_of(engine)._graphs) == 7


def test_kernels_are_timed_one_by_one(engine: tvm_rank.Engine, emulated: ctypes.CDLL):
    ask = request(9, 0)
    for _ in range(3):
        engine.rank(**ask)
    _seconds, kernels = profile(engine, [ask], turns=1)
    assert "request_features" in {kernel.name for kernel in kernels}
    before = emulated.emulated_graphs()
    engine.rank(**ask)
    assert emulated.emulated_graphs() == before + 1  # and then by graphs again
