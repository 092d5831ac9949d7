"""Linear models, scalers and encoders of ai.onnx.ml give ONNX Runtime's numbers; what has no sense is refused."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto
from tree_models import by_onnxruntime, compare, model, node, run

from tvm_rank.errors import ModelError
from tvm_rank.frontend.onnx_classical import CONVERTERS
from tvm_rank.frontend.onnx_model import import_model
from tvm_rank.frontend.onnx_operators import ML_OPERATORS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype(np.float32)
X[3] = 0
X[5, 1] = np.nan


def floats(*shape: int) -> list[float]:
    return [float(v) for v in RNG.normal(size=shape).astype(np.float32).ravel()]


def test_numbers():
    nodes = [
        node("Imputer", ["imputed"], imputed_value_floats=floats(4), replaced_value_float=float("nan")),
        node("LinearRegressor", ["one"], coefficients=floats(4), intercepts=[0.5], targets=1),
        node("LinearRegressor", ["three"], coefficients=floats(3, 4), intercepts=floats(3), targets=3, post_transform="SOFTMAX"),
        *(
            node("LinearClassifier", [f"l_{t}", f"s_{t}"], inputs=["imputed"], coefficients=floats(3, 4), intercepts=floats(3),
                 classlabels_ints=[4, 2, 9],
                 post_transform=t)
            for t in ("NONE", "LOGISTIC", "SOFTMAX")
        ),
        node("Scaler", ["scaled"], offset=floats(4), scale=floats(4)),
        node("Scaler", ["scaled_by_one"], offset=[0.5], scale=[2.0]),
        node("ArrayFeatureExtractor", ["taken"], inputs=["x", "places"]),
        node("Imputer", ["imputed_by_one"], imputed_value_floats=[7.0], replaced_value_float=0.0),
        node("FeatureVectorizer", ["beside"], inputs=["x", "x"], inputdimensions=[4, 4]),
        node("LabelEncoder", ["of_floats"], keys_floats=[0.0, 1.5, -3.0], values_floats=[3.0, 4.0, 5.0], default_float=-2.0),
    ]  # fmt: skip
    compare(model(nodes, features=4, places=np.array([2, 0, 2])), X[4:])
    nodes = [node("Normalizer", [f"by_{norm}"], norm=norm) for norm in ("MAX", "L1", "L2")]
    compare(model([*nodes, node("Binarizer", ["binary"], threshold=0.25)], features=4), np.nan_to_num(X))


IDS = RNG.integers(-3, 12, (30, 3))


def test_ids():
    nodes = [
        node("LabelEncoder", ["near"], keys_int64s=[5, 1, 9], values_int64s=[50, 10, 90], default_int64=-7),
        node("LabelEncoder", ["far"], keys_int64s=[5, -(10**15), 9], values_floats=[0.5, 1.5, 2.5], default_float=9.0),
        node("OneHotEncoder", ["hot"], cats_int64s=[3, -1, 7], zeros=1),
        node("Imputer", ["imputed"], imputed_value_int64s=[1, 2, 3], replaced_value_int64=5),
    ]
    given = model(nodes, features=3, dtype=TensorProto.INT64)
    compare(given, np.where(IDS == 4, -(10**15), IDS))


def test_one_score_for_two_classes():
    given = model(
        [node("LinearClassifier", ["label", "scores"], coefficients=floats(4), intercepts=[0.1], classlabels_ints=[0, 1])],
        features=4,
    )
    x = np.nan_to_num(X)
    _dense, found = run(given, x)
    assert (found["label"] == by_onnxruntime(given, x)["label"]).all()


def test_the_list_of_operators_is_that_of_the_converters():
    assert set(CONVERTERS) == ML_OPERATORS


@pytest.mark.parametrize(
    ("refused", "wanted"),
    [
        (node("LinearRegressor", ["y"], coefficients=[1.0], targets=1), "it has 1 coefficients and 0 intercepts for 1 x 4 weights"),
        (node("LinearRegressor", ["y"], coefficients=[1.0], targets=-1), "it has 1 coefficients"),
        (node("Scaler", ["y"], offset=[1.0, 2.0], scale=[1.0]), "its offset has 2 numbers for 4 columns"),
        (node("Normalizer", ["y"], norm="L7"), "its norm is 'L7'; known are MAX, L1 and L2"),
        (node("ArrayFeatureExtractor", ["y"], inputs=["x", "places"]), "it takes the columns [9] of 4"),
        (node("LabelEncoder", ["y"], keys_floats=[1.0, 2.0], values_floats=[1.0]), "it has 2 keys and 1 values"),
        (node("OneHotEncoder", ["y"], cats_strings=["a"]), "its categories are texts"),
    ],
)
def test_attributes_that_contradict_each_other_are_refused(refused, wanted):
    with pytest.raises(ModelError, match="cannot be imported") as caught:
        import_model(model([refused], features=4, places=np.array([9])))
    assert wanted in caught.value.problems[0]
