"""The models of the zoo from files to scores: equal to NumPy, for one request and for many, for this machine and for x86-64-v3."""

from __future__ import annotations

import platform
from collections.abc import Callable

import numpy as np
import pytest

import tvm_rank
from tvm_rank import zoo
from tvm_rank.zoo.workload import REQUEST_COLUMN, request_of

TOLERANCE = 1e-5
WITH_NUMPY = [name for name, model in zoo.MODELS.items() if model.dense]  # the others are compiled by tests/zoo
Engines = Callable[..., tvm_rank.Engine]


def scores_of_all(engine: tvm_rank.Engine, workload: zoo.Workload) -> np.ndarray:
    """The scores of all items in one call."""
    items = workload.read_items()
    return engine.rank(user=workload.read_user(), items=items, item_request=request_of(items))["score"]


@pytest.mark.parametrize("name", WITH_NUMPY)
def test_one_request_at_a_time_scores_as_numpy_says(name: str, engine_of: Engines, workloads: dict[str, zoo.Workload]):
    workload = workloads[name]
    spread = []
    for request in range(workload.read_user().num_rows):
        scores = engine_of(name).rank(user=workload.read_user(request), items=workload.read_items(request))["score"]
        expected = zoo.oracle(workload, request)
        assert scores.shape == (len(expected), 1)
        np.testing.assert_allclose(scores[:, 0], expected, rtol=0, atol=TOLERANCE)
        spread.append(np.ptp(expected))
    assert min(spread) > 0.05


@pytest.mark.parametrize("name", WITH_NUMPY)
def test_all_requests_at_once_score_as_numpy_says(name: str, engine_of: Engines, workloads: dict[str, zoo.Workload]):
    scores = scores_of_all(engine_of(name), workloads[name])
    np.testing.assert_allclose(scores[:, 0], zoo.oracle(workloads[name]), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", WITH_NUMPY)
def test_items_of_several_requests_may_come_in_any_order(name: str, engine_of: Engines, workloads: dict[str, zoo.Workload]):
    workload, engine = workloads[name], engine_of(name)
    items = workload.read_items()
    order = np.random.default_rng(0).permutation(items.num_rows)
    shuffled = items.take(order)
    index = shuffled.column(REQUEST_COLUMN).to_numpy()
    scores = engine.rank(user=workload.read_user(), items=shuffled, item_request=index)["score"]
    np.testing.assert_allclose(scores, scores_of_all(engine, workload)[order], rtol=0, atol=1e-6)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="runs code for x86-64")
def test_code_for_the_smallest_x86_target_scores_the_same(engine_of: Engines, workloads: dict[str, zoo.Workload]):
    engine = engine_of("criteo", "x86-64-v3")
    assert "avx512f" not in engine.manifest.needs
    np.testing.assert_allclose(
        scores_of_all(engine, workloads["criteo"])[:, 0], zoo.oracle(workloads["criteo"]), rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize("name", WITH_NUMPY)
def test_dense_layers_and_features_run_in_kernels_of_their_own(name: str, engine_of: Engines):
    kernels = {str(kernel["name"]): kernel["calls"] for kernel in engine_of(name).manifest.kernels}
    assert kernels["item_features"] == 1
    layers = {kernel for kernel in kernels if kernel.startswith("dense_")}
    # deepfm has four layers, two of which are split in a request and an item part; criteo knows nothing of the request
    assert sum(kernels[layer] for layer in layers) == {"deepfm": 6, "criteo": 5}[name]


def test_the_request_side_of_a_layer_has_its_width(engine_of: Engines):
    from tvm_rank.zoo import deepfm_data as data

    user = data.USER_FIELDS * data.DIM + data.USER_NUMBERS
    item = data.ITEM_FIELDS * data.DIM + data.ITEM_NUMBERS + 1
    names = {str(kernel["name"]) for kernel in engine_of("deepfm").manifest.kernels}
    assert {f"dense_{user}x64_none", f"dense_{item}x64_relu_rows"} <= names
