"""A walk over the places of one row of a field, empty ones too, that advances when it is told: for two fields side by side.

The places of a text are its parts between separators, those of a list its elements, of a number itself; a null or empty row has none.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Field
from te_schedules.tokens import INT_TEXT_BYTES, Text, element_text, find_separator

Expr = Any


class Places:
    """The places of kernel row `row`. `separators` are uint8 expressions; `field.splits` must be set."""

    def __init__(self, field: Field, row: Expr, separators: tuple[Expr, Expr]):
        self._field, self._separators = field, separators
        self._digits = intrin.array(INT_TEXT_BYTES, "uint8")
        first, self._last = field.elements(row)
        self._element = intrin.local("int64", first)
        self._start, self._stop, self._end = (intrin.local("int64", 0) for _ in range(3))
        self._inside, self._has = intrin.local("int64", 0), intrin.local("int64", 0)

    def advance(self) -> None:
        """Emit the step to the next place."""
        with T.If(self._inside[0] == T.int64(1)):
            with T.Then():
                intrin.assign(self._start, self._stop[0] + T.int64(1))
            with T.Else():
                self._next_element()
        with T.If(self._has[0] == T.int64(1)), T.Then():
            intrin.assign(self._stop, self._end[0])
            with T.If(self._field.splits), T.Then():
                find_separator(self._field, self._start, self._end, self._stop, self._separators)
            intrin.assign(self._inside, T.cast(self._stop[0] < self._end[0], "int64"))

    def _next_element(self) -> None:
        field, element = self._field, intrin.let(self._element[0])
        intrin.assign(self._has, T.cast(element < self._last, "int64"))
        intrin.assign(self._start, 0)
        intrin.assign(self._end, 0)
        with T.If(self._has[0] == T.int64(1)), T.Then():
            with T.If(field.element_is_valid(element)), T.Then():
                element_text(field, element, self._digits, self._start, self._end)
            # a text without bytes has no places, an element of a list is one nevertheless
            intrin.assign(self._has, T.cast(T.Or(T.Not(field.is_scalar), self._start[0] < self._end[0]), "int64"))
        intrin.assign(self._element, element + T.int64(1))

    @property
    def has_one(self) -> Expr:
        """Condition: there was a place to step to."""
        return self._has[0] == T.int64(1)

    def text(self) -> Text:
        """The bytes of the place."""
        start = intrin.let(self._start[0])
        return Text(start, intrin.let(self._stop[0] - start))
