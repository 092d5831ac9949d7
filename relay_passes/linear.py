"""Open a value that enters a linear layer into the terms that it is a linear combination of.

    x = concat(q, k, q - k, q * k)           ->    q at column 0, k at 32, q at 64, k at 64 times -1, q * k at 96

so that `x @ W` is a sum of products, one for each distinct value, each paid as often as that value has rows. A value is opened only
where one of its terms has fewer rows than it: the others stay what they are, and are written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from tvm import ir, relax

from relay_passes.graph import extents, op_name, same_extents


class Rows(IntEnum):
    """How many rows a value has, by what it depends on; for matrices, and for values (rows, L, K) with L positions in each."""

    REQUEST = 0  # one for each request (and position), read through item_request
    ITEM = 1  # one for each item, the same for all positions
    OWN = 2  # one for each row of the layer


@dataclass(frozen=True, eq=False)
class Term:
    """`scale * value` stands at the columns `first`... of the layer's input; a value has all of its last axis there."""

    value: relax.Var
    rows: Rows
    first: int
    scale: float = 1.0

    @property
    def width(self) -> int:
        """Columns."""
        return int(extents(self.value)[-1])


Known = Callable[[relax.Var], tuple[relax.Var, Rows] | None]


class Opener:
    """values: variable -> what defines it · source: a variable -> (what it is a copy of, with fewer rows), or None."""

    def __init__(self, values: Mapping[relax.Expr, relax.Expr], source: Known):
        self.values, self.source = values, source

    def terms(self, var: relax.Expr, first: int = 0) -> list[Term]:
        """The terms of a variable, from left to right."""
        known = self.source(var)
        if known is not None:
            return [Term(known[0], known[1], first)]
        opened = self._opened(var, first)
        return opened if any(term.rows < Rows.OWN for term in opened) else [Term(var, Rows.OWN, first)]

    def _opened(self, var: relax.Expr, first: int) -> list[Term]:
        """The terms of what defines the variable; none when that is no linear combination."""
        value = self.values.get(var)
        name = op_name(value)
        if value is None or name is None:
            return []
        if name == "relax.concat" and self._is_along_columns(value):
            return self._of_concat(value.args[0].fields, first)
        if name in ("relax.add", "relax.subtract"):
            return self._of_sum(value, first, -1.0 if name == "relax.subtract" else 1.0)
        if name == "relax.negative":
            return _scaled(self.terms(value.args[0], first), -1.0)
        if name in ("relax.multiply", "relax.divide"):
            return self._of_scale(value, first, name == "relax.divide")
        return []

    @staticmethod
    def _is_along_columns(value: relax.Call) -> bool:
        axis = value.attrs.axis
        return axis is not None and int(axis) in (-1, value.ty.ndim - 1) and isinstance(value.args[0], relax.Tuple)

    def _of_concat(self, parts: Sequence[relax.Expr], first: int) -> list[Term]:
        found: list[Term] = []
        for part in parts:
            found += self.terms(part, first)
            first += int(extents(part)[-1])
        return found

    def _of_sum(self, value: relax.Call, first: int, sign: float) -> list[Term]:
        """Both operands, where neither is spread over columns or is a constant."""
        left, right = value.args
        if any(extents(side)[-1:] != [] and not same_extents(extents(side)[-1:], extents(value)[-1:]) for side in value.args):
            return []
        if not all(isinstance(side, relax.Var) and side.ty.ndim == value.ty.ndim for side in value.args):
            return []
        return self.terms(left, first) + _scaled(self.terms(right, first), sign)

    def _of_scale(self, value: relax.Call, first: int, inverse: bool) -> list[Term]:
        """One operand and a constant number."""
        left, right = value.args
        operands = [(left, right)] if inverse else [(left, right), (right, left)]
        for operand, other in operands:
            if isinstance(other, ir.GenericConst) and not extents(other) and isinstance(operand, relax.Var):
                number = float(other.value.numpy())
                number = 1.0 / number if inverse and number else number
                return _scaled(self.terms(operand, first), number) if number else []
        return []


def _scaled(terms: list[Term], scale: float) -> list[Term]:
    return [replace(term, scale=term.scale * scale) for term in terms]


def weights_of(terms: Sequence[Term], weight: np.ndarray) -> dict[relax.Var, np.ndarray]:
    """For each distinct value of the terms, in order, the matrix (its columns, J) that it is multiplied with.

    weight (K, J): the layer's. A value that enters more than once has the sum of its parts.
    """
    found: dict[relax.Var, np.ndarray] = {}
    for term in terms:
        part = weight[term.first : term.first + term.width] * np.float32(term.scale)
        found[term.value] = found[term.value] + part if term.value in found else part
    return found
