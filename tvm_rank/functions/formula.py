"""SeqExpr: a formula over the inputs of a feature, as a program and as a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tvm_rank.config.evaluation import evaluate
from tvm_rank.config.nodes import Binary, Call, Conditional, Node, Number, Unary, Variable
from tvm_rank.functions.program import Program

SPHERICAL_DISTANCE = "spherical_distance"


def distance_tree(names: Sequence[str]) -> Node:
    """`sphere_dist` of the four inputs: longitude and latitude of one place, then of the other."""
    return Call("sphere_dist", tuple(Variable(name) for name in names))


def program_of(tree: Node, names: Sequence[str]) -> Program:
    """The program of a formula over `names`, in order."""
    return Program(
        name="SeqExpr",
        parameters=tuple((name, "float") for name in names),
        scalars=(True,) * len(names),
        returns="float",
        variables=(),
        body=(("return", _lowered(tree)),),
    )


def function_of(tree: Node, names: Sequence[str]) -> Callable[..., float]:
    """The definition: the formula of these numbers."""
    return lambda *values: float(evaluate(tree, dict(zip(names, map(np.float64, values), strict=True))))


def _lowered(node: Node) -> tuple:
    if isinstance(node, Number):
        return ("const", "float", float(node.value).hex())
    if isinstance(node, Variable):
        return ("var", "float", node.name)
    if isinstance(node, Unary):
        return ("formula", "float", "unary", node.op, _lowered(node.operand))
    if isinstance(node, Binary):
        return ("formula", "float", "binary", node.op, _lowered(node.left), _lowered(node.right))
    if isinstance(node, Conditional):
        return ("formula", "float", "conditional", "?:", *(_lowered(part) for part in (node.test, node.yes, node.no)))
    assert isinstance(node, Call)
    return ("formula", "float", "call", node.function, *(_lowered(argument) for argument in node.arguments))
