"""A text as three words that overlap or are the same: its first eight bytes, the next eight, the last. With the length they are all of a text
of 24 bytes."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.text import short

EXACT = 24  # bytes: of two such texts of one length, equal words mean equal texts; more than an integer's digits


def emit(field, text):
    """(first, next, last) int64 of a text (`tokens.Text`) of a field that is not empty; zeros behind a short one.

    Where the buffer has eight bytes, they are read with what follows the text and cut off, so that its length makes no branch. The digits
    of an integer lie in an array of more than eight bytes.
    """
    first, middle, last = (intrin.local("int64", 0) for _ in range(3))
    with T.If(T.Or(T.Not(field.is_text), text.address + T.int64(8) <= field.text_limit)):
        with T.Then():
            behind = intrin.let(T.max(text.length - T.int64(8), T.int64(0)))
            spare = T.max(T.int64(8) - text.length, T.int64(0)) * T.int64(8)
            word = intrin.Word.of(intrin.let(intrin.load("int64", text.address)))
            intrin.assign(first, (word & (intrin.Word(2**64 - 1) >> intrin.Word.of(intrin.let(spare)))).signed)
            is_long = intrin.let(behind > T.int64(0))
            places = (text.address + T.min(behind, T.int64(8)), text.address + behind)
            for part, place in zip((middle, last), places, strict=True):
                read = intrin.let(intrin.load("int64", place))
                intrin.assign(part, T.Select(is_long, read, T.int64(0)))
        with T.Else():
            intrin.assign(first, short.load(text.address, text.length).signed)
    return tuple(intrin.let(part[0]) for part in (first, middle, last))
