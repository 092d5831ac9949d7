"""Functions of all values of a row: what they mean (NumPy in float64), and which variables of a formula they take.

Sums and products go from the first value to the last, one after the other, so that a kernel can have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from tvm_rank.config.nodes import Binary, Call, Conditional, Node, Unary, Variable

Array = NDArray[np.float64]


def _sum(x: Array) -> Array:
    return np.add.accumulate(x, axis=-1)[..., -1]


def _mean(x: Array) -> Array:
    return _sum(x) / x.shape[-1]


def _squares(x: Array) -> Array:
    """The sum of the squared distances from the mean."""
    away = x - _mean(x)[..., None]
    return _sum(away * away)


def _variance(x: Array) -> Array:
    return _squares(x) / x.shape[-1]


def _sample_variance(x: Array) -> Array:
    return _squares(x) / (x.shape[-1] - 1.0)


def _corr(x: Array, y: Array) -> Array:
    away_x, away_y = x - _mean(x)[..., None], y - _mean(y)[..., None]
    return _sum(away_x * away_y) / np.sqrt(_sum(away_x * away_x) * _sum(away_y * away_y))


def _least(x: Array) -> Array:
    return reduce(lambda best, value: np.where(value < best, value, best), np.moveaxis(x, -1, 0))


def _greatest(x: Array) -> Array:
    return reduce(lambda best, value: np.where(value > best, value, best), np.moveaxis(x, -1, 0))


VECTOR_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "len": lambda x: np.full(x.shape[:-1], float(x.shape[-1])),
    "l2_norm": lambda x: np.sqrt(_sum(x * x)),
    "squared_norm": lambda x: _sum(x * x),
    "dot": lambda x, y: _sum(x * y),
    "euclid_dist": lambda x, y: np.sqrt(_sum((x - y) * (x - y))),
    "corr": _corr,
    "variance": _variance,
    "pop_variance": _sample_variance,
    "std_dev": lambda x: np.sqrt(_variance(x)),
    "pop_std_dev": lambda x: np.sqrt(_sample_variance(x)),
    "reduce_min": _least,
    "reduce_max": _greatest,
    "reduce_sum": _sum,
    "reduce_mean": _mean,
    "reduce_prod": lambda x: np.multiply.accumulate(x, axis=-1)[..., -1],
}


def apply(name: str, *arguments: Array) -> Array:
    """The number(s) that a function of VECTOR_FUNCTIONS makes of vectors along the last axis; a single number is a vector of one.

    Arguments are broadcast against each other, so a number next to a vector stands for all of its values.
    """
    vectors = np.broadcast_arrays(*(np.atleast_1d(argument) for argument in arguments))
    return np.asarray(VECTOR_FUNCTIONS[name](*vectors), np.float64)


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes below a node."""
    if isinstance(node, Unary):
        return (node.operand,)
    if isinstance(node, Binary):
        return node.left, node.right
    if isinstance(node, Conditional):
        return node.test, node.yes, node.no
    return node.arguments if isinstance(node, Call) else ()


def walk(node: Node) -> Iterator[Node]:
    """A node and all nodes below it."""
    yield node
    for part in parts(node):
        yield from walk(part)


def has_vectors(node: Node) -> bool:
    """True when the formula has a function of vectors."""
    return any(isinstance(part, Call) and part.function in VECTOR_FUNCTIONS for part in walk(node))


def element_variables(node: Node) -> frozenset[str]:
    """The variables that stand outside of the functions of vectors: beside such a function they must be single numbers."""
    if isinstance(node, Call) and node.function in VECTOR_FUNCTIONS:
        return frozenset()
    if isinstance(node, Variable):
        return frozenset([node.name])
    return frozenset().union(*(element_variables(part) for part in parts(node)))


def vector_calls(node: Node) -> list[Call]:
    """The calls of functions of vectors, those inside of others first."""
    inside = [call for part in parts(node) for call in vector_calls(part)]
    return [*inside, node] if isinstance(node, Call) and node.function in VECTOR_FUNCTIONS else inside
