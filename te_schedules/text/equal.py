"""Byte equality of two texts."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin


def emit(left, right):
    """Condition: both texts (`tokens.Text`) have the same bytes. Reads only inside them, in words of which the last overlaps others."""
    length = left.length
    same = intrin.local("int32", T.cast(length == right.length, "int32"))

    def compare(dtype: str, at) -> None:
        a, b = intrin.load(dtype, left.address + at), intrin.load(dtype, right.address + at)
        intrin.assign(same, T.cast(a == b, "int32"))

    def and_compare(dtype: str, at) -> None:
        with T.If(same[0] == 1), T.Then():
            compare(dtype, at)

    with T.If(same[0] == 1), T.Then(), T.If(length >= T.int64(8)):
        with T.Then():
            position = intrin.local("int64", 0)
            with T.While(T.And(position[0] + T.int64(8) < length, same[0] == 1)):
                compare("int64", position[0])
                intrin.assign(position, position[0] + T.int64(8))
            and_compare("int64", length - T.int64(8))
        with T.Else(), T.If(length >= T.int64(4)):
            with T.Then():
                compare("int32", T.int64(0))
                and_compare("int32", length - T.int64(4))
            with T.Else(), T.serial(T.int64(0), length) as k:
                and_compare("uint8", k)
    return intrin.let(same[0] == 1)
