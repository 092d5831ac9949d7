"""ai.onnx.ml models: random trees in ONNX's attributes, and one run of everything over the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tvm
from onnx import TensorProto, helper
from tvm import relax

from te_schedules.lower import PIPELINE
from te_schedules.trees import Ensemble, Mode
from tvm_rank.frontend.onnx_model import DenseModel, import_model
from tvm_rank.frontend.onnx_trees import MODES
from tvm_rank.target import resolve

ML = "ai.onnx.ml"
NAMES = {mode: name.decode() for name, mode in MODES.items()}


def attributes(ensemble: Ensemble, prefix: str) -> dict[str, Any]:
    """The trees in the attributes of TreeEnsembleRegressor (`target`) or TreeEnsembleClassifier (`class`)."""
    tree = np.searchsorted(ensemble.roots, np.arange(len(ensemble.mode)), side="right") - 1
    number = np.arange(len(tree)) - ensemble.roots[tree]
    inner = ensemble.mode != Mode.LEAF
    node = np.repeat(np.arange(len(tree)), np.diff(ensemble.weight_start))
    lists: dict[str, Any] = {
        "nodes_treeids": tree,
        "nodes_nodeids": number,
        "nodes_featureids": ensemble.feature,
        "nodes_truenodeids": np.where(inner, number[ensemble.yes], 0),
        "nodes_falsenodeids": np.where(inner, number[ensemble.no], 0),
        "nodes_missing_value_tracks_true": ensemble.missing_yes.astype(int),
        f"{prefix}_treeids": tree[node],
        f"{prefix}_nodeids": number[node],
        f"{prefix}_ids": ensemble.target,
    }
    found: dict[str, Any] = {name: [int(v) for v in values] for name, values in lists.items()}
    found |= {"nodes_values": [float(v) for v in ensemble.value], f"{prefix}_weights": [float(v) for v in ensemble.weight]}
    return found | {"nodes_modes": [NAMES[Mode(mode)] for mode in ensemble.mode]}


def node(operator: str, outputs: Sequence[str], inputs: Sequence[str] = ("x",), **attrs: Any) -> onnx.NodeProto:
    """A node of ai.onnx.ml; attributes that are None are left out."""
    return helper.make_node(operator, list(inputs), list(outputs), domain=ML, **{k: v for k, v in attrs.items() if v is not None})


def model(
    nodes: Sequence[onnx.NodeProto], *, features: int, dtype: int = TensorProto.FLOAT, version: int = 3, **weights: np.ndarray
) -> onnx.ModelProto:
    """A model of one input x (N, features) whose outputs are those of its nodes."""
    outputs = [
        helper.make_tensor_value_info(name, _type(one, k, dtype), _shape(one, k))
        for one in nodes
        for k, name in enumerate(one.output)
        if name and not any(name in other.input for other in nodes)
    ]
    graph = helper.make_graph(
        list(nodes),
        "classical",
        [helper.make_tensor_value_info("x", dtype, ["N", features])],
        outputs,
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _shape(one: onnx.NodeProto, place: int) -> list:
    if one.op_type.endswith("Classifier") and place == 0:
        return ["N"]
    return ["N", None, None] if one.op_type == "OneHotEncoder" else ["N", None]


def _type(one: onnx.NodeProto, place: int, dtype: int) -> int:
    if one.op_type.endswith("Classifier") and place == 0:
        return TensorProto.INT64
    names = {attribute.name for attribute in one.attribute}
    if one.op_type == "LabelEncoder":
        return TensorProto.INT64 if "values_int64s" in names else TensorProto.FLOAT
    return dtype if one.op_type in ("ArrayFeatureExtractor", "Binarizer", "Imputer") else TensorProto.FLOAT


def run(given: onnx.ModelProto, x: np.ndarray) -> tuple[DenseModel, dict[str, np.ndarray]]:
    """Import, build as a model of the project is built, and run."""
    dense = import_model(given)
    mod = relax.transform.LegalizeOps()(dense.mod)
    built = relax.build(mod, target=resolve("cpu").tvm_target, tir_pipeline=PIPELINE)
    found = relax.VirtualMachine(built, tvm.cpu())["main"](tvm.runtime.tensor(x))
    return dense, {name: value.numpy() for name, value in zip(dense.outputs, found, strict=True)}


def by_onnxruntime(given: onnx.ModelProto, x: np.ndarray) -> dict[str, np.ndarray]:
    """Output -> what ONNX Runtime says."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(given.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: x}), strict=True))


def compare(given: onnx.ModelProto, x: np.ndarray, *, rtol: float = 2e-5, atol: float = 2e-6) -> None:
    """All outputs are those of ONNX Runtime."""
    _dense, found = run(given, x)
    for name, wanted in by_onnxruntime(given, x).items():
        assert found[name].dtype == wanted.dtype, name
        assert found[name].shape == wanted.shape, name
        np.testing.assert_allclose(found[name], wanted, rtol=rtol, atol=atol, err_msg=name)
