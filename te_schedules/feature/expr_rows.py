"""The rows of formulas: what expr_feature does with a block of rows, and with a row of several numbers, as procedures.

A column has its work memory for a block, laid out by `Memory`. Its formula is data here: the identity of a tree of `lanes.py`, and
its reductions, REDUCTION int64 each: operation, identity of their tree, and a bit for each variable in it.

    BLOCK   evaluates a block whose fields have one number a row, or in functions of vectors equally many (`expr_even.py`), as a whole
    COUNT   counts the results of a row
    PART    evaluates the next `width()` results of a row, the functions of vectors first
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import field_numbers, flat_numbers, intrin
from te_schedules.feature import expr_even
from te_schedules.feature.expr_memory import COMBINE, OPERATIONS, REDUCTION, Memory, each_variable, reduced_variables, reduction
from te_schedules.feature.lanes import FORMULA, width
from te_schedules.procedure import Procedure

Expr = Any


def _emit_block(memory, variables, reductions, passes, elements, formula, numbers, fill, separator, first, end, result) -> None:
    work = Memory(memory, variables, reductions)
    flat, single = intrin.local("int64", 1), intrin.local("int64", -1)
    with T.If(reductions > T.int64(0)), T.Then():
        expr_even.EVEN.call(memory, variables, reductions, passes, numbers, first, end, work.answer)
        intrin.assign(flat, intrin.load("int64", work.answer))
        vectors = reduced_variables(passes, reductions)
        intrin.assign(single, T.bitwise_or(elements, T.bitwise_xor(vectors, T.int64(-1))))
    with T.serial(T.int64(width() // 8)) as k:
        intrin.store("int64", work.missing + k * T.int64(8), T.int64(0))
    wanted = intrin.let(single[0])

    def read(v: Expr) -> None:
        flat_numbers.FLAT.call(work.words(v), first, end, separator, fill, work.array(v), work.missing, work.answer)
        intrin.assign(flat, T.bitwise_and(flat[0], intrin.load("int64", work.answer)))

    with T.If(flat[0] == T.int64(1)), T.Then():
        each_variable(variables, wanted, read)
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
        _length(work, variables, reduction(passes, r, 2), fits)
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

    each_variable(variables, mask, one)
    return intrin.let(length[0])


def _emit_part(memory, variables, reductions, passes, elements, formula, numbers, fill, separator, row, at, lanes) -> None:
    work = Memory(memory, variables, reductions)

    def take(mask: Expr, begin: Expr, count: Expr) -> None:
        each_variable(variables, mask, lambda v: _take(work, v, (row, begin, count), fill, separator))

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
        wanted = T.if_then_else(has_many, lanes, T.int64(width()))
        field_numbers.TAKE.call(work.words(v), row, separator, place, count, wanted, fill, work.cursor(v), work.array(v))
        intrin.store("int64", work.held(v), place)


def _reduce(work: Memory, variables: Expr, which: tuple[Expr, Expr], numbers: Expr, take: Callable) -> None:
    """Write what a reduction makes of its tree over all numbers of the row."""
    operation, formula, mask = (reduction(*which, k) for k in range(REDUCTION))
    place = intrin.let(work.reduced + which[1] * T.int64(8 * width()))
    length = _length(work, variables, mask, intrin.local("int64", 1))
    total, at = intrin.local("float64", T.cast(length, "float64")), intrin.local("int64", 0)
    stop = intrin.let(T.if_then_else(operation == T.int64(OPERATIONS.index("len")), T.int64(0), length))
    with T.While(at[0] < stop):
        begin = intrin.let(at[0])
        count = intrin.let(T.min(stop - begin, T.int64(width())))
        take(mask, begin, count)
        FORMULA.call(formula, work.arrays, numbers, work.reduced, count, work.results)
        first = intrin.let(T.cast(begin == T.int64(0), "int64"))
        with T.If(first == T.int64(1)), T.Then():  # the first value stands as it is: -0.0, and NaN that others are compared with
            intrin.assign(total, intrin.load("float64", work.results))
        for name, combine in COMBINE.items():
            with T.If(operation == T.int64(OPERATIONS.index(name))), T.Then(), T.serial(first, count) as k:
                value = intrin.let(intrin.load("float64", work.results + k * T.int64(8)))
                intrin.assign(total, combine(intrin.let(total[0]), value))
        intrin.assign(at, begin + count)
    with T.serial(T.int64(width())) as k:
        intrin.store("float64", field_numbers.number_at(place, k), total[0])


def _parameters(text: str) -> dict[str, str]:
    return {name: "float64" if name == "fill" else "int64" for name in text.split()}


BLOCK = Procedure(
    "rank_expr_block",
    _parameters("memory variables reductions passes elements formula numbers fill separator first end result"),
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

PROCEDURES = (*field_numbers.PROCEDURES, *flat_numbers.PROCEDURES, *expr_even.PROCEDURES, BLOCK, COUNT, PART)
