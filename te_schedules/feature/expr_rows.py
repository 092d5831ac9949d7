"""The rows of formulas: what expr_feature does with a block of rows, and with a row of several numbers, as procedures.

A column has its work memory for a block, laid out by `Memory`. Its formula is data here: the identity of a tree of `lanes.py`, and
its reductions, REDUCTION int64 each: operation, identity of their tree, and a bit for each variable in it.

    BLOCK   evaluates a block whose fields have one number a row, as a whole
    COUNT   counts the results of a row
    PART    evaluates the next LANES results of a row, the functions of vectors first
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import field_numbers, flat_numbers, intrin
from te_schedules.feature.lanes import FORMULA, LANES
from te_schedules.procedure import Procedure

Expr = Any
REDUCTION = 3
OPERATIONS = ("len", "sum", "prod", "min", "max")
MAX_VARIABLES = 62  # bits of an int64


class Memory:
    """Addresses in the work memory of a column with `variables` variables and `reductions` reductions (int64 expressions).

    words, counts, cursors, held: of each variable · arrays: LANES numbers of each variable · reduced: a number of each reduction ·
    results: LANES numbers · missing: LANES bytes · answer: one int64
    """

    def __init__(self, address: Expr, variables: Expr, reductions: Expr):
        at = intrin.let(address)
        self.results, self.missing, self.answer = at, at + T.int64(8 * LANES), at + T.int64(9 * LANES)
        at = intrin.let(at + T.int64(9 * LANES + 8))
        self._words, at = at, intrin.let(at + variables * T.int64(8 * field_numbers.WORD_COUNT))
        self._cursors, at = at, intrin.let(at + variables * T.int64(8 * field_numbers.CURSOR_WORDS))
        self._counts, at = at, intrin.let(at + variables * T.int64(8))
        self._held, at = at, intrin.let(at + variables * T.int64(8))
        self.arrays, at = at, intrin.let(at + variables * T.int64(8 * LANES))
        self.reduced, self.end = at, intrin.let(at + reductions * T.int64(8))

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
        return intrin.let(self.arrays + v * T.int64(8 * LANES))


def _each(variables: Expr, mask: Expr, body: Callable[[Expr], None]) -> None:
    """Emit `body(v)` in a loop over the variables whose bit is set."""
    with T.serial(variables) as v, T.If(T.bitwise_and(T.shift_right(mask, v), T.int64(1)) == T.int64(1)), T.Then():
        body(v)


def _reduction(address: Expr, r: Expr, k: int) -> Expr:
    return intrin.let(intrin.load("int64", address + (r * T.int64(REDUCTION) + T.int64(k)) * T.int64(8)))


def _emit_block(memory, variables, reductions, formula, numbers, fill, separator, first, end, result) -> None:
    work = Memory(memory, variables, reductions)
    flat = intrin.local("int64", T.cast(reductions == T.int64(0), "int64"))
    with T.serial(T.int64(LANES // 8)) as k:
        intrin.store("int64", work.missing + k * T.int64(8), T.int64(0))
    with T.serial(variables) as v, T.If(flat[0] == T.int64(1)), T.Then():
        flat_numbers.FLAT.call(work.words(v), first, end, separator, fill, work.array(v), work.missing, work.answer)
        intrin.assign(flat, intrin.load("int64", work.answer))
    with T.If(flat[0] == T.int64(1)), T.Then():
        FORMULA.call(formula, work.arrays, numbers, work.reduced, end - first, work.results)
    intrin.store("int64", result, flat[0])


def _emit_count(memory, variables, reductions, passes, elements, fill, separator, row, result) -> None:
    work = Memory(memory, variables, reductions)
    empty, fits = intrin.local("int64", 0), intrin.local("int64", 1)
    with T.serial(variables) as v:
        place = work.count(v)
        field_numbers.COUNT.call(work.words(v), row, separator, place)
        intrin.store("int64", work.held(v), T.int64(-1))
        with T.If(intrin.load("int64", place) == T.int64(0)), T.Then():
            intrin.assign(empty, 1)
    with T.serial(reductions) as r:
        _length(work, variables, _reduction(passes, r, 2), fits)
    length = _length(work, variables, elements, fits)
    alone = T.Or(reductions == T.int64(0), length == T.int64(1))
    total = T.if_then_else(T.And(fits[0] == T.int64(1), alone), length, T.int64(-1))
    is_missing = T.And(empty[0] == T.int64(1), T.isnan(fill))
    intrin.store("int64", result, T.if_then_else(is_missing, T.int64(0), total))


def _length(work: Memory, variables: Expr, mask: Expr, fits) -> Expr:
    """How many values some variables have together, at least 1; clears `fits` when they have several different numbers of them."""
    length = intrin.local("int64", 1)

    def one(v: Expr) -> None:
        count = intrin.let(intrin.load("int64", work.count(v)))
        with T.If(T.And(T.And(count > T.int64(1), length[0] > T.int64(1)), count != length[0])), T.Then():
            intrin.assign(fits, 0)
        intrin.assign(length, T.max(length[0], count))

    _each(variables, mask, one)
    return intrin.let(length[0])


def _emit_part(memory, variables, reductions, passes, elements, formula, numbers, fill, separator, row, at, lanes) -> None:
    work = Memory(memory, variables, reductions)

    def take(mask: Expr, begin: Expr, count: Expr) -> None:
        _each(variables, mask, lambda v: _take(work, v, (row, begin, count), fill, separator))

    with T.If(at == T.int64(0)), T.Then(), T.serial(reductions) as r:
        _reduce(work, variables, (passes, r), numbers, take)
    take(elements, at, lanes)
    FORMULA.call(formula, work.arrays, numbers, work.reduced, lanes, work.results)


def _take(work: Memory, v: Expr, part: tuple[Expr, Expr, Expr], fill: Expr, separator: Expr) -> None:
    """Copy a part of the row to a variable's array, unless it lies there."""
    row, begin, lanes = part
    count = intrin.let(intrin.load("int64", work.count(v)))
    has_many = intrin.let(count > T.int64(1))
    place = intrin.let(T.if_then_else(has_many, begin, T.int64(0)))
    with T.If(intrin.load("int64", work.held(v)) != place), T.Then():
        wanted = T.if_then_else(has_many, lanes, T.int64(LANES))
        field_numbers.TAKE.call(work.words(v), row, separator, place, count, wanted, fill, work.cursor(v), work.array(v))
        intrin.store("int64", work.held(v), place)


def _reduce(work: Memory, variables: Expr, which: tuple[Expr, Expr], numbers: Expr, take: Callable) -> None:
    """Write what a reduction makes of its tree over all numbers of the row."""
    operation, formula, mask = (_reduction(*which, k) for k in range(REDUCTION))
    place = intrin.let(work.reduced + which[1] * T.int64(8))
    length = _length(work, variables, mask, intrin.local("int64", 1))
    total, at = intrin.local("float64", T.cast(length, "float64")), intrin.local("int64", 0)
    stop = intrin.let(T.if_then_else(operation == T.int64(OPERATIONS.index("len")), T.int64(0), length))
    with T.While(at[0] < stop):
        begin = intrin.let(at[0])
        count = intrin.let(T.min(stop - begin, T.int64(LANES)))
        take(mask, begin, count)
        FORMULA.call(formula, work.arrays, numbers, work.reduced, count, work.results)
        first = intrin.let(T.cast(begin == T.int64(0), "int64"))
        with T.If(first == T.int64(1)), T.Then():  # the first value stands as it is: -0.0, and NaN that others are compared with
            intrin.assign(total, intrin.load("float64", work.results))
        for name, combine in _COMBINE.items():
            with T.If(operation == T.int64(OPERATIONS.index(name))), T.Then(), T.serial(first, count) as k:
                value = intrin.let(intrin.load("float64", work.results + k * T.int64(8)))
                intrin.assign(total, combine(intrin.let(total[0]), value))
        intrin.assign(at, begin + count)
    intrin.store("float64", place, total[0])


_COMBINE: dict[str, Callable] = {
    "sum": lambda total, value: total + value,
    "prod": lambda total, value: total * value,
    "min": lambda best, value: T.if_then_else(value < best, value, best),
    "max": lambda best, value: T.if_then_else(value > best, value, best),
}


def _parameters(text: str) -> dict[str, str]:
    return {name: "float64" if name == "fill" else "int64" for name in text.split()}


BLOCK = Procedure(
    "rank_expr_block",
    _parameters("memory variables reductions formula numbers fill separator first end result"),
    _emit_block,
)
"""`result`: 1, and then the rows [first, end) have their results and marks in the memory; or 0, the rows must be taken one by one."""

COUNT = Procedure(
    "rank_expr_count", _parameters("memory variables reductions passes elements fill separator row result"), _emit_count
)
"""`result`: how many results the row has; 0 when it is missing, -1 when its variables do not fit."""

PART = Procedure(
    "rank_expr_part",
    _parameters("memory variables reductions passes elements formula numbers fill separator row at lanes"),
    _emit_part,
)
"""Set the results [at, at + lanes) of a row that COUNT has seen; parts in order."""

PROCEDURES = (*field_numbers.PROCEDURES, *flat_numbers.PROCEDURES, BLOCK, COUNT, PART)
