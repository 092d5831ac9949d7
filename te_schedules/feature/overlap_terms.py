"""The terms of the two sides of an overlap_feature, found again for each comparison, because a row has few and their number has no bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.feature.id_feature import separators
from te_schedules.text import equal
from te_schedules.tokens import Text, for_each_token

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
        self._each(0, body)

    def title(self, body: Body) -> None:
        """Emit `body` for each title term."""
        self._each(1, body)

    def count(self, side: int):
        """How many terms a side has."""
        return self.measure(side)[0]

    def measure(self, side: int):
        """(how many terms a side has, their bytes)."""
        count, size = intrin.local("int64", 0), intrin.local("int64", 0)

        def add(text, _position) -> None:
            intrin.assign(count, count[0] + T.int64(1))
            intrin.assign(size, size[0] + text.length)

        self._each(side, add)
        return intrin.let(count[0]), intrin.let(size[0])


def when(condition, body: Callable[[], None]) -> None:
    """Emit `body` under a condition."""
    with T.If(condition), T.Then():
        body()


def common(outer: Callable[[Body], None], inner: Callable[[Body], None]):
    """How many terms of `outer` are among those of `inner`, duplicates counted."""
    found_terms = intrin.local("int64", 0)

    def each(term: Text, _position) -> None:
        found = intrin.local("int64", 0)

        def compare(other: Text, _at) -> None:
            when(found[0] == T.int64(0), lambda: intrin.assign(found, T.cast(equal.emit(term, other), "int64")))

        inner(compare)
        intrin.assign(found_terms, found_terms[0] + found[0])

    outer(each)
    return intrin.let(found_terms[0])


def is_in(term: Text, others: Callable[[Body], None]):
    """Condition: one of the other terms is this one."""
    found = intrin.local("int64", 0)

    def compare(other: Text, _at) -> None:
        when(found[0] == T.int64(0), lambda: intrin.assign(found, T.cast(equal.emit(term, other), "int64")))

    others(compare)
    return intrin.let(found[0] == T.int64(1))
