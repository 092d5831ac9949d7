"""Models that LightGBM, XGBoost and scikit-learn train, exported by onnxmltools and skl2onnx, score as they do there."""

from __future__ import annotations

import functools

import lightgbm
import numpy as np
import xgboost
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tree_models import run

FEATURES = 6
INPUTS = [("x", FloatTensorType([None, FEATURES]))]


@functools.cache
def rows(count: int = 400, *, gaps: bool = True, categories: bool = False) -> np.ndarray:
    """Numbers with gaps, the first column perhaps categories from 0 to 9."""
    rng = np.random.default_rng(count)
    x = rng.normal(size=(count, FEATURES)).astype(np.float32)
    if categories:
        x[:, 0] = rng.integers(0, 10, count)
    x[rng.random(x.shape) < (0.1 if gaps else 0)] = np.nan
    return x


def target_of(x: np.ndarray) -> np.ndarray:
    known = np.nan_to_num(x)
    return np.sin(3 * known[:, 0]) + known[:, 1] * known[:, 2]


def test_lightgbm_with_gaps_and_categories():
    x, others = rows(categories=True), rows(301, categories=True)
    data = lightgbm.Dataset(x, target_of(x), categorical_feature=[0], params={"min_data_per_group": 1, "cat_smooth": 0})
    booster = lightgbm.train({"num_leaves": 20, "min_data_in_leaf": 3, "verbose": -1, "num_threads": 1}, data, 40)
    others[:5, 0] = [-1, 10, 3.5, np.nan, 1e9]
    found = run(convert_lightgbm(booster, initial_types=INPUTS), others[5:])[1]["variable"]
    assert np.abs(found[:, 0] - booster.predict(others[5:].astype(np.float64))).max() <= 1e-6


def test_lightgbm_of_many_trees_by_masks():
    x, others = rows(600, gaps=False), rows(301)
    params = {"num_leaves": 40, "min_data_in_leaf": 3, "verbose": -1, "num_threads": 1, "use_missing": True}
    booster = lightgbm.train(params, lightgbm.Dataset(x, target_of(x)), 60)
    found = run(convert_lightgbm(booster, initial_types=INPUTS), others)[1]["variable"]
    assert np.abs(found[:, 0] - booster.predict(others.astype(np.float64))).max() <= 1e-6


def test_lightgbm_classifier_whose_scores_are_zipped():
    x, others = rows(), rows(301)
    trained = lightgbm.LGBMClassifier(n_estimators=10, num_leaves=8, verbose=-1, n_jobs=1).fit(x, (target_of(x) > 0).astype(int))
    dense, found = run(convert_lightgbm(trained, initial_types=INPUTS), others)
    assert dense.outputs == ("label", "probabilities")
    assert np.abs(found["probabilities"] - trained.predict_proba(others)).max() <= 1e-6
    assert (found["label"] == trained.predict(others)).all()


def test_xgboost_classifier_of_three_classes():
    x, others = rows(), rows(301)
    trained = xgboost.XGBClassifier(n_estimators=8, max_depth=4, n_jobs=1).fit(x, np.digitize(target_of(x), [-0.5, 0.5]))
    _dense, found = run(convert_xgboost(trained, initial_types=INPUTS), others)
    assert np.abs(found["probabilities"] - trained.predict_proba(others)).max() <= 1e-6
    assert (found["label"] == trained.predict(others)).all()


def test_scikit_learn_forest_and_linear_pipeline():
    x, others = rows(gaps=False), rows(301, gaps=False)
    classes = np.digitize(target_of(x), [-0.5, 0.5])
    forest = RandomForestClassifier(5, max_depth=5, random_state=0).fit(x, classes)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, classes)
    for trained in (forest, pipeline):
        _dense, found = run(to_onnx(trained, x[:1], options={"zipmap": False}), others)
        assert np.abs(found["probabilities"] - trained.predict_proba(others)).max() <= 1e-5
        assert (found["label"] == trained.predict(others)).all()
