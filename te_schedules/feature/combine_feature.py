"""combine_feature: the values of one field, as numbers, combined to one, as `tvm_rank.ops.combine_feature` defines it.

The walk over a row is a procedure, which all columns share; the combiner is data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import field_numbers, intrin
from te_schedules.bucketize import vocabulary
from te_schedules.feature import combine
from te_schedules.feature.kind import Column, Kind
from te_schedules.feature.typed_numbers import TypedNumber
from te_schedules.procedure import Procedure
from te_schedules.text import parse_float
from te_schedules.tokens import Text, for_each_token

Expr = Any


class _Total:
    """The combined number of what was added so far, and how many there were."""

    def __init__(self, combiner: Expr):
        self._combiner = combiner
        self._total, self._previous = intrin.local("float64", 0.0), intrin.local("float64", 0.0)
        self._count = intrin.local("int64", 0)

    def add(self, value: Expr) -> None:
        """Emit the addition of a bound float64."""
        intrin.assign(self._total, combine.add(self._combiner, self._total[0], self._previous[0], self._count[0], value))
        intrin.assign(self._previous, value)
        intrin.assign(self._count, self._count[0] + T.int64(1))

    def store(self, result: Expr) -> None:
        """Write the count (int64) and the number (float64) to `result`."""
        intrin.store("int64", result, self._count[0])
        intrin.store("float64", result + T.int64(8), combine.finish(self._combiner, self._total[0], self._count[0]))


def _emit_numbers(words, row, separator, combiner, result) -> None:
    field = field_numbers.field_at(words)
    total = _Total(combiner)

    def token(text: Text, _element) -> None:
        valid, value = parse_float.emit(text.address, text.length)
        with T.If(valid), T.Then():
            total.add(intrin.let(value))

    with T.If(field.is_text):
        with T.Then():
            for_each_token(field, row, field_numbers.separators(separator), token)
        with T.Else():
            first, last = field.elements(row)
            with T.serial(first, last) as element, T.If(field.element_is_valid(element)), T.Then():
                total.add(intrin.let(field.number(element, "float64")))
    total.store(result)


class _Vocabulary:
    """Constants of a vocabulary at addresses, in the place of a column's `Scope`."""

    def __init__(self, slots: Expr, slots_count: Expr, letters: Expr):
        self._slots, self._letters = slots, letters
        self._ints = {"slots_count": slots_count, "slots_at": T.int64(0), "words_at": T.int64(0), "unknown": T.int64(-1)}

    def int(self, name: str) -> Expr:
        return self._ints[name]

    def int_at(self, index: Expr) -> Expr:
        return intrin.load("int64", self._slots + index * T.int64(8))

    def bytes_address(self, index: Expr) -> Expr:
        return self._letters + index


def _emit_mapped(words, row, separator, combiner, slots, slots_count, letters, numbers, result) -> None:
    field = field_numbers.field_at(words)
    total, known = _Total(combiner), _Vocabulary(slots, slots_count, letters)

    def token(text: Text, _element) -> None:
        place = vocabulary.emit(known, text)
        with T.If(place >= T.int64(0)), T.Then():
            total.add(intrin.let(intrin.load("float64", numbers + place * T.int64(8))))

    for_each_token(field, row, field_numbers.separators(separator), token)
    total.store(result)


_ROW = dict.fromkeys(("words", "row", "separator", "combiner"), "int64")
NUMBERS = Procedure("rank_combine_numbers", _ROW | {"result": "int64"}, _emit_numbers)
"""Write to `result` how many numbers a row has (int64), and what they make together (float64)."""

MAPPED = Procedure(
    "rank_combine_mapped", _ROW | dict.fromkeys(("slots", "slots_count", "letters", "numbers", "result"), "int64"), _emit_mapped
)
"""The same of the numbers that a vocabulary has for the texts of a row."""


@dataclass(frozen=True)
class CombineKind(Kind):
    """`mapped`: texts whose numbers are in the arrays `slots`, `words` (of a vocabulary) and `mapped` (float64); value_type, normalizer,
    bucketizer as `TypedNumber` has them. Column constants: `combiner` (a place in `combine.COMBINERS`), `dimension` (1), `separator`,
    those of `TypedNumber`, and `defaults` (float64) unless it is bucketized."""

    mapped: bool = False
    value_type: str = "float"
    normalizer: Any = None
    bucketizer: str = ""

    stem: ClassVar[str] = "combine_feature"

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> list[Procedure]:
        """The walks over a row."""
        return [NUMBERS, MAPPED] if columns else []

    @property
    def yields_ids(self) -> bool:
        """True with a bucketizer."""
        return bool(self.bucketizer)

    @property
    def _typed(self) -> TypedNumber:
        return TypedNumber(self.value_type, self.normalizer, self.bucketizer)

    def prepare(self, scope, _first_row, _end_row) -> None:
        """Read the constants of the column."""
        scope.bind("combiner", "separator", *(() if self.bucketizer else ("defaults_at",)))
        self._typed.bind(scope)
        words = intrin.array(field_numbers.WORD_COUNT, "int64")
        answer = intrin.array(2, "int64")
        scope.state = words, answer
        field_numbers.copy_words(scope.fields[0], intrin.let(intrin.address_of(words)))
        if self.mapped:
            scope.bind("slots_at", "slots_count", "words_at", "mapped_at")

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the id of one row."""
        count, number = self._combined(scope, row)
        with T.If(count > T.int64(0)), T.Then():
            accept(self._typed.emit_id(scope, number), T.float32(1))

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the number of one row."""
        count, number = self._combined(scope, row)
        with T.If(count > T.int64(0)):
            with T.Then():
                write(T.int64(0), self._typed.emit_number(scope, number))
            with T.Else():
                write(T.int64(0), T.cast(scope.float_at(scope.int("defaults_at")), "float32"))

    def _combined(self, scope, row) -> tuple[Expr, Expr]:
        """(how many numbers the row has, what they make together)."""
        # addresses are taken here, because behind its last use TVM gives a local array away
        words, answer = (intrin.let(intrin.address_of(buffer)) for buffer in scope.state)
        common = words, row, scope.int("separator"), scope.int("combiner")
        if self.mapped:
            MAPPED.call(
                *common,
                scope.int_address(scope.int("slots_at")),
                scope.int("slots_count"),
                scope.bytes_address(scope.int("words_at")),
                scope.float_address(scope.int("mapped_at")),
                answer,
            )
        else:
            NUMBERS.call(*common, answer)
        count, number = intrin.let(intrin.load("int64", answer)), intrin.let(intrin.load("float64", answer + T.int64(8)))
        for buffer in scope.state:
            intrin.keep(buffer)
        return count, number
