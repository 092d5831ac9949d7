"""num_buckets: id = the integer itself in [0, size); negative, too large or beyond int64 becomes 0; other text is refused."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.text import parse_int
from te_schedules.tokens import Text


def constants(size: int) -> dict[str, int]:
    """The int64 constants of a column."""
    return {"size": size}


def clamp(scope, value):
    """The id of an int64."""
    inside = T.And(value >= T.int64(0), value < scope.int("size"))
    return intrin.let(T.if_then_else(inside, value, T.int64(0)))


def emit(scope, text: Text, row):
    """The id (int64) of a text; the batch fails when the text is no integer."""
    valid, value, in_range = parse_int.emit(text.address, text.length)
    with T.If(T.Not(valid)), T.Then():
        scope.fail(row)
    return clamp(scope, intrin.let(T.if_then_else(T.And(valid, in_range), value, T.int64(-1))))
