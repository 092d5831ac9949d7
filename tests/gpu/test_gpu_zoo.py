"""Every model of the zoo on the emulated GPU, from raw fields to scores: they are the oracle's."""

from __future__ import annotations

import ctypes
import pathlib

import numpy as np
import pytest
from hidden_columns import hidden

import tvm_rank
from tvm_rank import zoo
from tvm_rank.zoo.workload import request_of

pytestmark = pytest.mark.usefixtures("emulated")
MOST = 1e-5  # that a score may differ by: sums in another order


@pytest.mark.parametrize("model", zoo.MODELS)
def test_scores_are_the_oracles_for_one_request_and_for_three(model: str, tmp_path: pathlib.Path, emulated: ctypes.CDLL):
    workload = zoo.build(model, tmp_path / "model")
    artifact = tvm_rank.compile(features=workload.features, model=workload.model, tables=workload.tables, target="cuda-sm_90")
    artifact.save(tmp_path / "artifact")
    engine, wanted, of = tvm_rank.load(tmp_path / "artifact"), zoo.outputs(workload), request_of(workload.read_items())
    with hidden(emulated, workload.read_user(), workload.read_items()) as (users, items):
        every = engine.rank(users, items, of)
    last = int(of.max())  # criteo has one request
    alone = engine.rank(workload.read_user(last), workload.read_items(last))
    assert set(every) == set(wanted)
    for name, scores in wanted.items():
        np.testing.assert_allclose(every[name], scores, rtol=0, atol=MOST)
        np.testing.assert_allclose(alone[name], scores[of == last], rtol=0, atol=MOST)
