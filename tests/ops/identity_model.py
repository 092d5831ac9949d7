"""A model that gives its inputs back, so that what features and lookups feed it can be seen; and its engine."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

import tvm_rank

Width = int | None | tuple[int, ...]


def identity_model(widths: Mapping[str, Width], ids: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Input `x` (N, width) or (N, *width) float, int64 if it is among `ids`, or (N) int64 where the width is None -> output `x_out`."""

    def tensor(name: str, width: Width) -> onnx.ValueInfoProto:
        shape = ["N", *(() if width is None else width if isinstance(width, tuple) else (width,))]
        is_id = width is None or name.removesuffix("_out") in ids
        return helper.make_tensor_value_info(name, TensorProto.INT64 if is_id else TensorProto.FLOAT, shape)

    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in widths]
    outputs = [tensor(f"{name}_out", width) for name, width in widths.items()]
    graph = helper.make_graph(nodes, "identity", [tensor(name, width) for name, width in widths.items()], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def engine_of(
    folder: pathlib.Path,
    features: Mapping[str, Any],
    widths: Mapping[str, int | None],
    tables: Mapping[str, np.ndarray] | None,
    table_precision: str | Mapping[str, str] = "fp32",
    target: object = "cpu",
    **options,
):
    """The engine of the features, compiled with an identity model, saved to `folder` and loaded."""
    fg = {"features": [{"feature_name": name, **keys} for name, keys in features.items()]}
    model = identity_model(widths)
    tvm_rank.compile(features=fg, model=model, tables=tables, table_precision=table_precision, target=target).save(
        folder / "artifact"
    )
    return tvm_rank.load(folder / "artifact", **options)
