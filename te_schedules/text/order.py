"""The order of two texts by their bytes."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin


def emit_less(left, right):
    """Condition: `left` (`tokens.Text`) stands before `right` in the order of bytes; a text stands behind its own beginning."""
    position = intrin.local("int64", 0)
    end = intrin.let(T.min(left.length, right.length))
    difference = intrin.local("int32", 0)
    with T.While(T.And(position[0] < end, difference[0] == 0)):
        a = T.cast(intrin.load("uint8", left.address + position[0]), "int32")
        b = T.cast(intrin.load("uint8", right.address + position[0]), "int32")
        intrin.assign(difference, a - b)
        intrin.assign(position, position[0] + T.int64(1))
    shorter = left.length < right.length
    return intrin.let(T.if_then_else(difference[0] == 0, shorter, difference[0] < 0))
