"""Every model of the zoo, compiled, scores as ONNX Runtime does; `scripts/check_zoo.py` does the same for larger batches."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from zoo_models import Compiled, check, compiled

from tvm_rank import zoo

HERE = [name for name, model in zoo.MODELS.items() if model.dense is None]  # the others are compiled by tests/pipeline


@pytest.fixture(scope="module", params=HERE)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Each model, compiled once."""
    folder: pathlib.Path = tmp_path_factory.mktemp(request.param)
    return compiled(request.param, folder)


def test_scores_are_those_of_onnxruntime_for_one_request_and_for_three(model: Compiled):
    check(model, [3], requests=1)
    for request in range(3):
        check(model, np.arange(7) + 7 * request, requests=1)
    check(model, np.random.default_rng(0).permutation(21), requests=3)


def test_scores_differ_between_items_and_onnx_own_evaluator_gives_them(model: Compiled):
    found = zoo.outputs(model.workload)
    assert found.keys() == model.wanted.keys()
    for name, wanted in model.wanted.items():
        assert wanted.std() > 0.01
        np.testing.assert_allclose(found[name], wanted, rtol=0, atol=1e-5)
