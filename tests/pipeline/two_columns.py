"""Models with a feature or two, which compile in seconds, and what NumPy says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, DIM = 16, 4
TABLE = np.random.default_rng(3).standard_normal((ROWS, DIM)).astype(np.float32)
WEIGHT = np.random.default_rng(4).standard_normal((DIM + 1, 3)).astype(np.float32)


def number(name: str, field: str, **more: Any) -> dict[str, Any]:
    """A raw_feature without a normalizer: the number itself."""
    return {"feature_name": name, "feature_type": "raw_feature", "expression": field, "value_type": "float"} | more


def bucket(name: str, field: str, **more: Any) -> dict[str, Any]:
    """An id_feature whose id is the integer of the column, with a row of TABLE for each."""
    entry = {"feature_name": name, "feature_type": "id_feature", "expression": field, "num_buckets": ROWS, "default_value": "0"}
    return entry | {"embedding_dim": DIM} | more


def graph(
    nodes: Sequence[onnx.NodeProto], inputs: Mapping[str, tuple], outputs: Mapping[str, tuple], **constants: np.ndarray
) -> onnx.ModelProto:
    """An ONNX model; a shape without the batch, and the dtype "id" for int64, for each input and output by name."""

    def infos(entries: Mapping[str, tuple]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(
                name,
                TensorProto.INT64 if "id" in shape else TensorProto.FLOAT,
                ["N", *(extent for extent in shape if extent != "id")],
            )
            for name, shape in entries.items()
        ]

    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    made = helper.make_graph(list(nodes), "two_columns", infos(inputs), infos(outputs), weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def product(inputs: Sequence[str], widths: Sequence[int]) -> onnx.ModelProto:
    """`score` (N, 3): the inputs side by side, times the first rows of WEIGHT."""
    width = sum(widths)
    nodes = [helper.make_node("Concat", list(inputs), ["h"], axis=1), helper.make_node("MatMul", ["h", "w"], ["score"])]
    shapes = {name: (extent,) for name, extent in zip(inputs, widths, strict=True)}
    return graph(nodes, shapes, {"score": (3,)}, w=WEIGHT[:width])


def config(*features: Mapping[str, Any]) -> dict[str, Any]:
    """fg.json of these features."""
    return {"features": list(features)}
