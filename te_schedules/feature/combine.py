"""Several numbers to one, in float64, as they come: how lookup_feature combines its hits. The definition is `tvm_rank/ops/combine.py`.

Which combiner it is, is a constant of the column: features that differ only in it share code.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

Expr = Any
COMBINERS = ("sum", "mean", "min", "max", "count", "gap_min", "gap_max")


def is_one_of(code, *names: str):
    """Condition: the code is the place of one of these combiners."""
    wanted = code == T.int64(COMBINERS.index(names[0]))
    for name in names[1:]:
        wanted = T.Or(wanted, code == T.int64(COMBINERS.index(name)))
    return wanted


def add(code, total, previous, index, value) -> Expr:
    """The new total (float64) when `value` comes as number `index` (int64, from 0), behind `previous` (any before the first).

    code: the place of the combiner in COMBINERS (int64)
    """
    result = intrin.local("float64", total)
    with T.If(is_one_of(code, "sum", "mean")):
        with T.Then():
            intrin.assign(result, total + value)
        with T.Else(), T.If(is_one_of(code, "count")):
            with T.Then():
                intrin.assign(result, total + T.float64(1))
            with T.Else():
                _keep(code, result, intrin.let(total), previous, index, value)
    return intrin.let(result[0])


def _keep(code, result, total, previous, index, value) -> None:
    """One of the numbers, or one of their gaps: the smallest or the largest so far."""
    gaps = intrin.let(is_one_of(code, "gap_min", "gap_max"))
    candidate = intrin.let(T.if_then_else(gaps, T.fabs(value - previous), value))
    first = intrin.let(T.Select(gaps, T.int64(1), T.int64(0)))
    better = T.if_then_else(is_one_of(code, "min", "gap_min"), candidate < total, candidate > total)
    with T.If(T.Or(index == first, better)), T.Then():
        intrin.assign(result, candidate)
    with T.If(index < first), T.Then():
        intrin.assign(result, T.float64(0))


def finish(code, total, count) -> Expr:
    """The combined number of `count` (int64, at least 1) numbers."""
    return T.if_then_else(is_one_of(code, "mean"), total / T.cast(count, "float64"), total)
