"""Normalizer -> (shape, constants): the part that shapes code, and the numbers of one column."""

from __future__ import annotations

from typing import Any

import numpy as np

from tvm_rank.config import nodes
from tvm_rank.config.spec import Expression, Log10, MinMax, Normalizer, ZScore


def shape_of(normalizer: Normalizer | None) -> tuple[Any, np.ndarray]:
    """The shape (`te_schedules/feature/normalize.py`) and the float64 constants; parameters are rounded to float32, a formula's are not."""
    if isinstance(normalizer, MinMax):
        low, high = np.float32(normalizer.min), np.float32(normalizer.max)
        return "minmax", _float32(float(low), float(high - low))  # the width is a float32 difference in both precisions
    if isinstance(normalizer, ZScore):
        return "zscore", _float32(normalizer.mean, normalizer.standard_deviation)
    if isinstance(normalizer, Log10):
        return "log10", _float32(normalizer.threshold, normalizer.default)
    if isinstance(normalizer, Expression):
        numbers: list[float] = []
        return _tree(normalizer.tree, numbers), np.array(numbers, np.float64)
    return None, np.zeros(0, np.float64)


def _float32(*values: float) -> np.ndarray:
    return np.array(values, np.float32).astype(np.float64)


def _tree(node: nodes.Node, numbers: list[float]) -> tuple:
    if isinstance(node, nodes.Number):
        numbers.append(node.value)
        return ("number", len(numbers) - 1)
    if isinstance(node, nodes.Variable):
        return ("variable",)
    if isinstance(node, nodes.Unary):
        return ("unary", node.op, _tree(node.operand, numbers))
    if isinstance(node, nodes.Binary):
        return ("binary", node.op, _tree(node.left, numbers), _tree(node.right, numbers))
    if isinstance(node, nodes.Conditional):
        return ("conditional", *(_tree(part, numbers) for part in (node.test, node.yes, node.no)))
    return ("call", node.function, *(_tree(argument, numbers) for argument in node.arguments))
