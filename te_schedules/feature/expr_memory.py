"""The work memory of a formula over rows, and its reductions, for the procedures of `expr_rows.py` and `expr_even.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import field_numbers, intrin
from te_schedules.feature.lanes import width
from te_schedules.flat_numbers import MOST_ROWS

Expr = Any
REDUCTION = 3
OPERATIONS = ("len", "sum", "prod", "min", "max")
MAX_VARIABLES = 62  # bits of an int64


class Memory:
    """Addresses in the work memory of a column with `variables` variables and `reductions` reductions (int64 expressions).

    words, counts, cursors, held: of each variable · arrays: `width()` numbers of each variable · reduced, spread: as many of each
    reduction · results: as many · missing: MOST_ROWS bytes · answer: one int64
    """

    def __init__(self, address: Expr, variables: Expr, reductions: Expr):
        at, lanes = intrin.let(address), 8 * width()
        self.results, self.missing, self.answer = at, at + T.int64(lanes), at + T.int64(lanes + MOST_ROWS)
        at = intrin.let(at + T.int64(lanes + MOST_ROWS + 8))
        self._words, at = at, intrin.let(at + variables * T.int64(8 * field_numbers.WORD_COUNT))
        self._cursors, at = at, intrin.let(at + variables * T.int64(8 * field_numbers.CURSOR_WORDS))
        self._counts, at = at, intrin.let(at + variables * T.int64(8))
        self._held, at = at, intrin.let(at + variables * T.int64(8))
        self.arrays, at = at, intrin.let(at + variables * T.int64(lanes))
        self.reduced, at = at, intrin.let(at + reductions * T.int64(lanes))
        self.spread, self.end = at, intrin.let(at + reductions * T.int64(lanes))

    def words(self, v: Expr) -> Expr:
        """Of a variable's descriptor."""
        return intrin.let(self._words + v * T.int64(8 * field_numbers.WORD_COUNT))

    def cursor(self, v: Expr) -> Expr:
        """Of a variable, for TAKE."""
        return intrin.let(self._cursors + v * T.int64(8 * field_numbers.CURSOR_WORDS))

    def count(self, v: Expr) -> Expr:
        """Where a variable's count of numbers lies."""
        return intrin.let(self._counts + v * T.int64(8))

    def held(self, v: Expr) -> Expr:
        """Where it stands which numbers of the row lie in a variable's array: the place of the first; -1 for none."""
        return intrin.let(self._held + v * T.int64(8))

    def array(self, v: Expr) -> Expr:
        """A variable's array."""
        return intrin.let(self.arrays + v * T.int64(8 * width()))


def each_variable(variables: Expr, mask: Expr, body: Callable[[Expr], None]) -> None:
    """Emit `body(v)` in a loop over the variables whose bit is set."""
    with T.serial(variables) as v, T.If(T.bitwise_and(T.shift_right(mask, v), T.int64(1)) == T.int64(1)), T.Then():
        body(v)


def reduction(address: Expr, r: Expr, k: int) -> Expr:
    """Operation, formula or variables (k) of reduction r."""
    return intrin.let(intrin.load("int64", address + (r * T.int64(REDUCTION) + T.int64(k)) * T.int64(8)))


COMBINE: dict[str, Callable] = {
    "sum": lambda total, value: total + value,
    "prod": lambda total, value: total * value,
    "min": lambda best, value: T.Select(value < best, value, best),
    "max": lambda best, value: T.Select(value > best, value, best),
}
"""How a reduction takes one more value; the first stands as it is."""


def reduced_variables(passes: Expr, reductions: Expr) -> Expr:
    """A bit for each variable that is in a reduction."""
    mask = intrin.local("int64", 0)
    with T.serial(reductions) as r:
        intrin.assign(mask, T.bitwise_or(mask[0], reduction(passes, r, 2)))
    return intrin.let(mask[0])
