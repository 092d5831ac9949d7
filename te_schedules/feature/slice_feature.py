"""slice_feature: some of the values of a row, or some of the characters of each value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin
from te_schedules.feature.id_feature import separators
from te_schedules.feature.join import Pieces
from te_schedules.feature.kind import TextKind
from te_schedules.tokens import Text, find_splits, for_each_token

Expr = Any


@dataclass(frozen=True)
class SliceKind(TextKind):
    """`bucketizer` is a name of `te_schedules.bucketize` (NONE: texts); `prefixed` texts start with the column's array `prefix`;
    `characters`: of each value, in place of values. Column ints: `start`, `end`, counted as Python counts."""

    bucketizer: str
    characters: bool = False
    prefixed: bool = False

    stem: ClassVar[str] = "slice_feature"

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; make room for prefixed texts."""
        bucketize.bind_constants(self.bucketizer, scope)
        scope.bind("separator", "start", "end")
        find_splits(scope, first_row, end_row, separators(scope))
        scope.state = Pieces(scope)

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""
        prefixed = self.prefixed and self.bucketizer != bucketize.NUM_BUCKETS

        def keep(text: Text) -> None:
            accept(scope.state.joined((text,), prefixed=prefixed), T.float32(1))

        def tokens(body: Callable[[Text, Expr], None]) -> None:
            for_each_token(scope.fields[0], row, separators(scope), body)

        if self.characters:
            tokens(lambda text, _element: _characters(scope, text, keep))
        else:
            _values(scope, tokens, keep)


def _range(scope, count: Callable[[], Expr]) -> tuple[Expr, Expr]:
    """(first, end) from 0; `count` emits the count of all, which is asked for only where places are negative."""
    first, end = intrin.local("int64", scope.int("start")), intrin.local("int64", scope.int("end"))
    with T.If(T.Or(first[0] < T.int64(0), end[0] < T.int64(0))), T.Then():
        total = count()
        for place in (first, end):
            intrin.assign(place, T.if_then_else(place[0] < T.int64(0), T.max(place[0] + total, T.int64(0)), place[0]))
    return intrin.let(first[0]), intrin.let(end[0])


def _values(scope, tokens: Callable, keep: Callable[[Text], None]) -> None:
    def count() -> Expr:
        total = intrin.local("int64", 0)
        tokens(lambda _text, _element: intrin.assign(total, total[0] + T.int64(1)))
        return intrin.let(total[0])

    first, end = _range(scope, count)
    place = intrin.local("int64", 0)

    def token(text: Text, _element) -> None:
        with T.If(T.And(place[0] >= first, place[0] < end)), T.Then():
            keep(text)
        intrin.assign(place, place[0] + T.int64(1))

    tokens(token)


def _characters(scope, text: Text, keep: Callable[[Text], None]) -> None:
    stop = intrin.let(text.address + text.length)

    def begins(at: Expr) -> Expr:
        """Condition: a character begins at this byte, which is the first or does not continue one."""
        continues = T.bitwise_and(T.cast(intrin.load("uint8", at), "int32"), T.int32(0xC0)) == T.int32(0x80)
        return T.Or(at == text.address, T.Not(continues))

    def count() -> Expr:
        total = intrin.local("int64", 0)
        with T.serial(text.address, stop) as at:
            intrin.assign(total, total[0] + T.cast(begins(at), "int64"))
        return intrin.let(total[0])

    first, end = _range(scope, count)
    at, place = intrin.local("int64", text.address), intrin.local("int64", 0)
    begin, finish = intrin.local("int64", stop), intrin.local("int64", stop)
    with T.While(T.And(at[0] < stop, place[0] <= end)):
        byte_at = intrin.let(at[0])
        with T.If(begins(byte_at)), T.Then():
            with T.If(place[0] == first), T.Then():
                intrin.assign(begin, byte_at)
            with T.If(place[0] == end), T.Then():
                intrin.assign(finish, byte_at)
            intrin.assign(place, place[0] + T.int64(1))
        intrin.assign(at, byte_at + T.int64(1))
    with T.If(begin[0] < finish[0]), T.Then():
        address = intrin.let(begin[0])
        keep(Text(address, intrin.let(finish[0] - address)))
