"""Byte equality of two texts."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin


def emit(left, right):
    """Condition: both texts (`tokens.Text`) have the same bytes. Reads only inside them."""
    position = intrin.local("int64", 0)
    same = intrin.local("int32", T.cast(left.length == right.length, "int32"))
    end = intrin.let(T.if_then_else(same[0] == 1, left.length, T.int64(0)))
    with T.While(T.And(position[0] + T.int64(8) <= end, same[0] == 1)):
        a = intrin.load("int64", left.address + position[0])
        b = intrin.load("int64", right.address + position[0])
        intrin.assign(same, T.cast(a == b, "int32"))
        intrin.assign(position, position[0] + T.int64(8))
    with T.While(T.And(position[0] < end, same[0] == 1)):
        a = intrin.load("uint8", left.address + position[0])
        b = intrin.load("uint8", right.address + position[0])
        intrin.assign(same, T.cast(a == b, "int32"))
        intrin.assign(position, position[0] + T.int64(1))
    return intrin.let(same[0] == 1)
