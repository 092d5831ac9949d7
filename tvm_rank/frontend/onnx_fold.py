"""Nodes over constants alone, computed when the model is imported."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from tvm_rank.frontend.onnx_values import Inputs, array_of, constant, is_constant

MAX_ELEMENTS = 4096  # of each operand: counters, conditions, shapes, masks. Larger ones are folded later, by compiled code
OPERATORS = frozenset(
    {"Add", "Sub", "Mul", "Div", "Mod", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "And", "Or", "Not", "Where"}
    | {
        "Cast",
        "Identity",
        "Unsqueeze",
        "Squeeze",
        "Concat",
        "Gather",
        "Slice",
        "Min",
        "Max",
        "ReduceProd",
        "ReduceSum",
        "Neg",
        "Range",
    }
)


def evaluated(node: onnx.NodeProto | None, inputs: Inputs, opset: int) -> Any | None:
    """The result of a node of one output whose inputs are small constants, by ONNX's own evaluator; None for any other."""
    if node is None or node.op_type not in OPERATORS or len(node.output) != 1:
        return None
    given = [inputs[k] for k in range(len(node.input))]
    if not given or not all(value is None or is_constant(value) for value in given) or all(value is None for value in given):
        return None
    arrays = [None if value is None else array_of(value) for value in given]
    if any(array is not None and (array.size > MAX_ELEMENTS or array.dtype.kind not in "biuf") for array in arrays):
        return None
    feeds = {name: array for name, array in zip(node.input, arrays, strict=True) if array is not None}
    with np.errstate(all="ignore"):
        (found,) = ReferenceEvaluator(node, opsets={"": opset}).run(None, feeds)
    return constant(np.asarray(found))
