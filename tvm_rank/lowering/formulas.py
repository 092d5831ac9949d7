"""Formulas over fields -> (tree, reductions, numbers): the parts that shape code, and the numbers of one column.

A function of vectors becomes sums, products, extremes and lengths of element-wise trees, in the very order of operations of its
definition (`tvm_rank.config.vectors`):

    dot(a, b) / len(a)   ->   reductions ("sum", a * b), ("len", a)    tree ("binary", "/", ("reduced", 0), ("reduced", 1))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm_rank.config import nodes
from tvm_rank.config.vectors import VECTOR_FUNCTIONS

Tree = tuple
Reduction = tuple[str, Tree, tuple[int, ...]]


class FormulaShape:
    """The shape of a formula: `tree`, `reductions`, `elements` (variables outside of functions of vectors), and its `numbers`."""

    def __init__(self, formula: nodes.Node, variables: Sequence[str]):
        self._variables = {name: number for number, name in enumerate(variables)}
        self._known: dict[tuple, int] = {}
        self.numbers: list[float] = []
        self.reductions: list[Reduction] = []
        self.tree = self._tree(formula)
        self.elements = variables_of(self.tree)

    def _tree(self, node: nodes.Node) -> Tree:
        if isinstance(node, nodes.Number):
            return self._number(node.value)
        if isinstance(node, nodes.Variable):
            return ("variable", self._variables[node.name])
        if isinstance(node, nodes.Unary):
            return ("unary", node.op, self._tree(node.operand))
        if isinstance(node, nodes.Binary):
            return ("binary", node.op, self._tree(node.left), self._tree(node.right))
        if isinstance(node, nodes.Conditional):
            return ("conditional", *map(self._tree, (node.test, node.yes, node.no)))
        arguments = [self._tree(argument) for argument in node.arguments]
        if node.function in VECTOR_FUNCTIONS:
            return _VECTORS[node.function](self, *arguments)
        return ("call", node.function, *arguments)

    def _number(self, value: float) -> Tree:
        self.numbers.append(value)
        return ("number", len(self.numbers) - 1)

    def reduced(self, operation: str, tree: Tree, beside: Tree | None = None) -> Tree:
        """The number that a reduction makes of a tree; the length is that of the tree and of another one `beside` it."""
        variables = tuple(sorted({*variables_of(tree), *(variables_of(beside) if beside else ())}))
        key = (operation, tree, variables)
        if key not in self._known:
            self._known[key] = len(self.reductions)
            self.reductions.append(key)
        return ("reduced", self._known[key])

    def one(self) -> Tree:
        """The number 1."""
        return self._number(1.0)


def variables_of(tree: Tree) -> tuple[int, ...]:
    """The variables of a tree, without those of its reductions."""
    if tree[0] == "variable":
        return (tree[1],)
    return tuple(sorted({v for part in tree if isinstance(part, tuple) for v in variables_of(part)}))


def _binary(op: str, left: Tree, right: Tree) -> Tree:
    return ("binary", op, left, right)


def _root(tree: Tree) -> Tree:
    return ("call", "sqrt", tree)


def _mean(shape: FormulaShape, x: Tree, beside: Tree | None = None) -> Tree:
    return _binary("/", shape.reduced("sum", x, beside), shape.reduced("len", x, beside))


def _away(shape: FormulaShape, x: Tree, beside: Tree | None = None) -> Tree:
    return _binary("-", x, _mean(shape, x, beside))


def _squares(shape: FormulaShape, x: Tree) -> Tree:
    return shape.reduced("sum", _binary("*", x, x))


def _variance(shape: FormulaShape, x: Tree) -> Tree:
    return _binary("/", _squares(shape, _away(shape, x)), shape.reduced("len", x))


def _sample_variance(shape: FormulaShape, x: Tree) -> Tree:
    return _binary("/", _squares(shape, _away(shape, x)), _binary("-", shape.reduced("len", x), shape.one()))


def _corr(shape: FormulaShape, x: Tree, y: Tree) -> Tree:
    dx, dy = _away(shape, x, y), _away(shape, y, x)

    def both(tree: Tree) -> Tree:
        return shape.reduced("sum", tree, _binary("*", x, y))

    below = _root(_binary("*", both(_binary("*", dx, dx)), both(_binary("*", dy, dy))))
    return _binary("/", both(_binary("*", dx, dy)), below)


_VECTORS: dict[str, Callable[..., Tree]] = {
    "len": lambda shape, x: shape.reduced("len", x),
    "l2_norm": lambda shape, x: _root(_squares(shape, x)),
    "squared_norm": _squares,
    "dot": lambda shape, x, y: shape.reduced("sum", _binary("*", x, y)),
    "euclid_dist": lambda shape, x, y: _root(_squares(shape, _binary("-", x, y))),
    "corr": _corr,
    "variance": _variance,
    "pop_variance": _sample_variance,
    "std_dev": lambda shape, x: _root(_variance(shape, x)),
    "pop_std_dev": lambda shape, x: _root(_sample_variance(shape, x)),
    "reduce_min": lambda shape, x: shape.reduced("min", x),
    "reduce_max": lambda shape, x: shape.reduced("max", x),
    "reduce_sum": lambda shape, x: shape.reduced("sum", x),
    "reduce_mean": _mean,
    "reduce_prod": lambda shape, x: shape.reduced("prod", x),
}
