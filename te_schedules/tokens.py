"""Walks over the values of one row of a field: as texts, as integers, as numbers.

The rules (docs/features.md): a scalar text is split at every separator byte, an element of a list is not; empty texts and null
elements are dropped; an integer's text is its decimal form. `body` is called once, while building, and emits the loop's body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Field, PlainTexts
from te_schedules.text import format_int, search

INT_TEXT_BYTES = 24  # the longest int64 text has 20

Expr = Any


@dataclass(frozen=True)
class Text:
    """Bytes in memory: int64 address and length."""

    address: Expr
    length: Expr


def for_each_token(field: Field, row, separators: tuple[Expr, Expr], body: Callable[[Text, Expr], None]) -> None:
    """Emit `body(text, element)` for every non-empty text of the row. `separators` are uint8 expressions."""
    if isinstance(field, PlainTexts):
        with T.If(field.row_is_valid(row)), T.Then():
            begin, finish = field.text(row)
            with T.If(begin < finish), T.Then():
                body(Text(begin, intrin.let(finish - begin)), row)
        return
    digits = intrin.array(INT_TEXT_BYTES, "uint8")
    start, end = intrin.local("int64", 0), intrin.local("int64", 0)
    stop = intrin.local("int64", 0)
    first, last = field.elements(row)
    with T.serial(first, last) as element, T.If(field.element_is_valid(element)), T.Then():
        element_text(field, element, digits, start, end)
        with T.While(start[0] < end[0]):
            intrin.assign(stop, end[0])
            with T.If(field.splits), T.Then():
                find_separator(field, start, end, stop, separators)
            with T.If(start[0] < stop[0]), T.Then():
                address = intrin.let(start[0])
                body(Text(address, intrin.let(stop[0] - address)), element)
            intrin.assign(start, stop[0] + T.int64(1))


def element_text(field: Field, element, digits, start, end) -> None:
    """Set start and end to the bytes of the element; an integer is written to `digits` first."""
    with T.If(field.is_text):
        with T.Then():
            begin, finish = field.text(element)
            intrin.assign(start, begin)
            intrin.assign(end, finish)
        with T.Else():
            at = intrin.let(intrin.address_of(digits))
            length = format_int.emit(intrin.let(field.number(element, "int64")), at)
            intrin.assign(start, at)
            intrin.assign(end, at + length)


def find_separator(field: Field, start, end, stop, separators: tuple[Expr, Expr]) -> None:
    """Set stop to the first separator in [start, end), a part of a text of the field, or to end."""
    intrin.assign(stop, search.find(intrin.let(start[0]), intrin.let(end[0]), field.text_limit, *separators))


def find_splits(scope, first_row, end_row, separators: tuple[Expr, Expr]) -> None:
    """Find out for each field of a column whether any text of the block has a separator, so that most are not searched one by one.

    The texts of consecutive rows lie side by side, so this reads many bytes at a time. Rows that are mapped to others are
    searched.
    """
    for field in scope.fields:
        find_field_splits(field, first_row, end_row, separators)


def find_field_splits(field: Field, first_row, end_row, separators: tuple[Expr, Expr]) -> None:
    """The same for one field."""
    found = intrin.local("int64", 0)
    with T.If(T.And(field.is_text, field.is_scalar)), T.Then(), T.If(field.is_mapped):
        with T.Then():
            intrin.assign(found, T.int64(1))
        with T.Else():
            begin, end = field.text_range(first_row, end_row)
            search.emit(found, begin, end, *separators)
    field.splits = intrin.let(found[0] != T.int64(0))


def find_byte(start, end, byte):
    """The address of the first `byte` (uint8) in [start, end), or end: byte by byte, which is quicker for a few than `search.find`."""
    at = intrin.local("int64", start)
    with T.While(T.if_then_else(at[0] < end, intrin.load("uint8", at[0]) != byte, T.bool(False))):
        intrin.assign(at, at[0] + T.int64(1))
    return intrin.let(at[0])
