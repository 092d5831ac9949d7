"""ONNX Runtime's dense layers: in float32, and in int8 as its own quantization makes them."""

from __future__ import annotations

import logging
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np

KINDS = {"none": "Identity", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def sessions(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, activation: str, threads: int
) -> dict[str, Callable[[], np.ndarray]]:
    """Name -> a call. "dynamic" takes the levels of x at run time, for all rows together; "static" knows them. Weights by column, as ours."""
    import onnx
    import onnxruntime
    from onnxruntime import quantization as q

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    logging.getLogger().setLevel(logging.ERROR)  # of advice for large models

    class Rows(q.CalibrationDataReader):
        """x, once."""

        def __init__(self):
            self._left = [{"x": x}]

        def get_next(self):
            return self._left.pop() if self._left else None

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        paths = {kind: folder / f"{kind}.onnx" for kind in ("fp32", "int8 dynamic", "int8 static")}
        onnx.save(_model(weight, bias, activation), paths["fp32"])
        weights = {"per_channel": True, "weight_type": q.QuantType.QInt8}
        q.quantize_dynamic(paths["fp32"], paths["int8 dynamic"], **weights)
        q.quantize_static(paths["fp32"], paths["int8 static"], Rows(), activation_type=q.QuantType.QUInt8, **weights)
        opened = {
            kind: onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
            for kind, path in paths.items()
        }
    return {f"onnxruntime {kind}": lambda session=session: session.run(None, {"x": x})[0] for kind, session in opened.items()}


def _model(weight: np.ndarray, bias: np.ndarray, activation: str):
    import onnx
    from onnx import helper, numpy_helper

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node(KINDS[activation], ["a"], ["y"]),
    ]
    info = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", n]) for name, n in zip("xy", weight.shape, strict=True)
    ]
    constants = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph(nodes, "dense", info[:1], info[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
