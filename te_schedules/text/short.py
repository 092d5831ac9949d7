"""Texts of at most eight bytes as one word."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word


def load(address, length) -> Word:
    """The 1..8 bytes at `address` as a little-endian number. Reads only these bytes."""
    number = intrin.local("uint64", 0)

    def byte(offset) -> Word:
        return Word.of(intrin.load("uint8", address + offset)) << Word.of(offset * T.int64(8))

    with T.If(length >= T.int64(4)):
        with T.Then():
            # the two reads overlap; where they do, they agree
            low = Word.of(intrin.load("uint32", address))
            high = Word.of(intrin.load("uint32", address + length - T.int64(4)))
            intrin.assign(number, (low | (high << Word.of((length - T.int64(4)) * T.int64(8)))).expr)
        with T.Else():
            # bytes 0, length / 2 and length - 1 are all bytes of a text of 1..3
            middle = T.bind(T.shift_right(length, T.int64(1)))
            intrin.assign(number, (byte(T.int64(0)) | byte(middle) | byte(T.bind(length - T.int64(1)))).expr)
    return Word.let(number[0])
