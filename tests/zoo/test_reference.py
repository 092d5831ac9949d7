"""The NumPy scores: pooling on hand-worked values, and the whole against ONNX Runtime on the same inputs."""

from __future__ import annotations

import pathlib

import numpy as np
import onnxruntime
import pytest

from tvm_rank import zoo
from tvm_rank.ops import lookup
from tvm_rank.zoo import reference

TABLE = np.array([[1, -8], [2, 4], [4, 2], [8, 16]], np.float32)
RAGGED = {"values": np.array([0, 3, 1, 1, 2]), "lengths": np.array([2, 0, 3], np.int32)}


@pytest.mark.parametrize(
    ("combiner", "expected"),
    [
        ("sum", [[9, 8], [0, 0], [8, 10]]),
        ("mean", [[4.5, 4], [0, 0], [8 / 3, 10 / 3]]),
        ("sqrtn", [[9 / 2**0.5, 8 / 2**0.5], [0, 0], [8 / 3**0.5, 10 / 3**0.5]]),
        ("max", [[8, 16], [0, 0], [4, 4]]),
    ],
)
def test_pooling_without_weights(combiner: str, expected: list[list[float]]):
    pooled = lookup.reference(RAGGED["values"], RAGGED["lengths"], None, TABLE, combiner)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("combiner", "expected"),
    [
        ("sum", [[2 * 1 + 0.5 * 8, 2 * -8 + 0.5 * 16], [0, 0], [2 + 2 * 2 + 3 * 4, 4 + 2 * 4 + 3 * 2]]),
        ("mean", [[6 / 2.5, -8 / 2.5], [0, 0], [18 / 6, 18 / 6]]),
        ("sqrtn", [[6 / 4.25**0.5, -8 / 4.25**0.5], [0, 0], [18 / 14**0.5, 18 / 14**0.5]]),
        ("max", [[8, 16], [0, 0], [4, 4]]),
    ],
)
def test_pooling_with_weights(combiner: str, expected: list[list[float]]):
    weights = np.array([2, 0.5, 1, 2, 3], np.float32)
    pooled = lookup.reference(RAGGED["values"], RAGGED["lengths"], weights, TABLE, combiner)
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name, model in zoo.MODELS.items() if model.dense])
def test_scores_agree_with_onnxruntime_on_the_same_inputs(name: str, tmp_path: pathlib.Path):
    built = zoo.build(name, tmp_path, requests=2, items=60)
    scores = zoo.oracle(built)
    session = onnxruntime.InferenceSession(str(built.model), providers=["CPUExecutionProvider"])
    inputs = reference.model_inputs(built)
    assert {entry.name: entry.shape[1] for entry in session.get_inputs()} == {key: value.shape[1] for key, value in inputs.items()}
    (expected,) = session.run(["score"], inputs)
    assert scores.dtype == np.float32
    assert scores.shape == (120,)
    assert scores.std() > 0.05
    assert 0.01 < np.median(scores) < 0.99
    np.testing.assert_allclose(scores, expected[:, 0], atol=3e-6)


def test_scores_of_one_request_are_those_rows_of_all(tmp_path: pathlib.Path):
    built = zoo.build("deepfm", tmp_path, requests=3, items=6)
    np.testing.assert_array_equal(zoo.oracle(built, 1), zoo.oracle(built)[6:12])


def test_items_without_fields_still_get_a_score(tmp_path: pathlib.Path):
    built = zoo.build("deepfm", tmp_path, requests=8, items=60)
    inputs = reference.model_inputs(built)
    category = built.read_items().column("category").is_null().to_numpy(zero_copy_only=False)
    assert category.any()
    assert np.isfinite(zoo.oracle(built)).all()
    dim = zoo.deepfm.data.DIM
    assert (inputs["item"][category, dim : 2 * dim] == 0).all()
    assert (inputs["item"][~category, dim : 2 * dim] != 0).any(1).all()


def test_request_fields_are_the_same_for_all_items_of_a_request(tmp_path: pathlib.Path):
    user = reference.model_inputs(zoo.build("deepfm", tmp_path, requests=3, items=7))["user"].reshape(3, 7, -1)
    assert (user == user[:, :1]).all()
    assert (user[0, 0] != user[1, 0]).any()
