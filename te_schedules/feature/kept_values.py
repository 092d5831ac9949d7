"""Values that were computed before, read as they are: of a feature that others read too, or of the items of a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import Word
from te_schedules.feature.kind import Kind


@dataclass(frozen=True)
class KeptKind(Kind):
    """Ids, with weights if `weighted`, or numbers (`ids` False). An id outside of [0, `id_space`) is 0, a number that is not there 0."""

    ids: bool
    weighted: bool = False

    stem: ClassVar[str] = "kept_values"

    @property
    def yields_ids(self) -> bool:
        """True for ids."""
        return self.ids

    @property
    def has_weights(self) -> bool:
        """True for weighted ids."""
        return self.weighted

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column."""
        del first_row, end_row
        scope.bind("id_space" if self.ids else "dimension")
        if self.weighted:
            for word in (Word.WEIGHT, Word.WEIGHT_FORM, Word.WEIGHT_VALID, Word.WEIGHT_BIT):
                scope.fields[0][word]

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the ids of one row."""
        (field,) = scope.fields
        first, last = field.elements(row)
        with T.serial(first, last) as element:
            number = intrin.let(field.number(element, "int64"))
            inside = T.And(number >= T.int64(0), number < scope.int("id_space"))
            weight = intrin.let(field.weight(element)) if self.weighted else T.float32(1)
            accept(intrin.let(T.if_then_else(inside, number, T.int64(0))), weight)

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the numbers of one row."""
        (field,) = scope.fields
        first, last = field.elements(row)
        with T.serial(scope.int("dimension")) as k:
            number = T.if_then_else(first + k < last, field.number(first + k, "float32"), T.float32(0))
            write(k, intrin.let(number))
