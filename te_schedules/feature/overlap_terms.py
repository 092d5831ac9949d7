"""The terms of the two sides of an overlap_feature: walks over them, and a table of one side for comparisons of all with all."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Word
from te_schedules.feature.id_feature import separators
from te_schedules.scratch import Scratch
from te_schedules.text import ends, equal
from te_schedules.tokens import Text, for_each_token

PARTS = 5  # of a term in a table
FEW_TERMS, FEW_BYTES = 64, 4096  # of a side, up to which a row needs no look at how much work it is
LENGTH, ADDRESS = 3, 4
QUERY, TITLE = 0, 1
Body = Callable[[Text, Any], None]  # (term, its position)


class Terms:
    """The terms of both sides of one row."""

    def __init__(self, scope, row):
        self._scope, self._row = scope, row

    def _each(self, side: int, body: Body) -> None:
        position = intrin.local("int64", 0)

        def token(text, _element) -> None:
            body(text, intrin.let(position[0]))
            intrin.assign(position, position[0] + T.int64(1))

        for_each_token(self._scope.fields[side], self._row, separators(self._scope), token)

    def query(self, body: Body) -> None:
        """Emit `body` for each query term."""
        self._each(QUERY, body)

    def title(self, body: Body) -> None:
        """Emit `body` for each title term."""
        self._each(TITLE, body)

    def common(self, side: int, other: int, other_count):
        """How many terms of a side are among those of the other, duplicates counted."""
        is_in, found = self.finder(side, other, other_count), intrin.local("int64", 0)
        self._each(side, lambda term, _position: intrin.assign(found, found[0] + T.cast(is_in(term), "int64")))
        return intrin.let(found[0])

    def finder(self, side: int, other: int, other_count) -> Callable[[Text], Any]:
        """A condition for terms of a side: it is among those of the other, which are read once."""
        fields, table = self._scope.fields, self._scope.terms
        table.fill(fields[other], lambda body: self._each(other, body), other_count)
        return lambda term: table.has(fields[side], term)

    def most(self, side: int):
        """At least as many as a side has terms; beyond FEW_TERMS for sides that have more than FEW_BYTES or do not tell."""
        field = self._scope.fields[side]
        first, end = field.elements(self._row)
        result = intrin.local("int64", end - first)
        with T.If(T.And(field.is_text, first < end)), T.Then():
            side_by_side = field.ends == field[Word.TEXT] + T.int64(4)
            size = intrin.let(
                T.if_then_else(side_by_side, field.text_end(end - T.int64(1)) - field.text_offset(first), T.int64(FEW_BYTES + 1))
            )
            with T.If(field.splits), T.Then():
                intrin.assign(result, (size + T.int64(1)) // T.int64(2))
            intrin.assign(result, T.if_then_else(size <= T.int64(FEW_BYTES), result[0], T.int64(FEW_TERMS + 1)))
        return intrin.let(result[0])

    def common_of_few(self, side: int, other: int, most):
        """(terms of a side, terms of the other, those of the side that are among the other's), each side read once; the other has `most` at
        most."""
        fields, table = self._scope.fields, self._scope.terms
        count, found = intrin.local("int64", 0), intrin.local("int64", 0)

        def look(term: Text, _position) -> None:
            intrin.assign(count, count[0] + T.int64(1))
            intrin.assign(found, found[0] + T.cast(table.has(fields[side], term), "int64"))

        table.fill(fields[other], lambda body: self._each(other, body), most)
        others = table.count
        with T.If(others > T.int64(0)), T.Then():
            self._each(side, look)
        return intrin.let(count[0]), others, intrin.let(found[0])

    def count(self, side: int):
        """How many terms a side has."""
        return self.measure(side)[0]

    def measure(self, side: int):
        """(how many terms a side has, the bytes that finding them reads: of all texts with their separators, and one for each element)."""
        field = self._scope.fields[side]
        first, end = field.elements(self._row)
        count, size = intrin.local("int64", 0), intrin.local("int64", end - first)
        is_split = intrin.let(T.And(field.is_text, field.splits))
        with T.If(is_split), T.Then(), T.serial(first, end) as element, T.If(field.element_is_valid(element)), T.Then():
            begin, finish = field.text(element)
            intrin.assign(size, size[0] + finish - begin)
        is_whole = intrin.let(T.cast(T.Not(is_split), "int64"))  # each term is all of its element

        def add(text, _position) -> None:
            intrin.assign(count, count[0] + T.int64(1))
            intrin.assign(size, size[0] + text.length * is_whole)

        self._each(side, add)
        return intrin.let(count[0]), intrin.let(size[0])


def when(condition, body: Callable[[], None]) -> None:
    """Emit `body` under a condition."""
    with T.If(condition), T.Then():
        body()


class Table:
    """The terms of one side of a row, for comparison with many others: of each its words (`text/ends.py`), its length and its address."""

    def __init__(self, scope):
        self._memory = Scratch(scope)
        self._count = intrin.local("int64", 0)

    def _part(self, k, part: int):
        return self._memory.address + (k * T.int64(PARTS) + T.int64(part)) * T.int64(8)

    @property
    def count(self):
        """How many terms there are."""
        return intrin.let(self._count[0])

    def fill(self, field, each: Callable[[Body], None], most) -> None:
        """Emit the reading of terms, `most` of them at most."""
        self._memory.ensure(intrin.let(most * T.int64(8 * PARTS)))
        intrin.assign(self._count, 0)

        def put(term: Text, position) -> None:
            intrin.assign(self._count, position + T.int64(1))
            for part, value in enumerate((*ends.emit(field, term), term.length, term.address)):
                intrin.store("int64", self._part(position, part), value)

        each(put)

    def has(self, field, term: Text):
        """Condition: one of the terms is this one, of another field. All are compared: a branch at the first hit is mispredicted often."""
        words = (*ends.emit(field, term), term.length)
        hits = intrin.local("int64", 0)
        with T.serial(self._count[0]) as k:
            differs = [T.bitwise_xor(intrin.load("int64", self._part(k, part)), word) for part, word in enumerate(words)]
            same = intrin.let(reduce(T.bitwise_or, differs) == T.int64(0))
            intrin.assign(hits, hits[0] + T.cast(same, "int64"))
        with T.If(T.And(hits[0] > T.int64(0), term.length > T.int64(ends.EXACT))), T.Then():
            intrin.assign(hits, 0)
            with T.serial(self._count[0]) as k, T.If(hits[0] == T.int64(0)), T.Then():
                other = Text(
                    intrin.let(intrin.load("int64", self._part(k, ADDRESS))),
                    intrin.let(intrin.load("int64", self._part(k, LENGTH))),
                )
                intrin.assign(hits, T.cast(equal.emit(term, other), "int64"))
        return intrin.let(hits[0] > T.int64(0))
