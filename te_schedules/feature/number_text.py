"""The numbers of a feature as texts, for features that read them so: a feature of its own between the two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin
from te_schedules.feature.kind import Column, TextKind
from te_schedules.procedure import Procedure
from te_schedules.text import format_float
from te_schedules.tokens import Text

_WORDS = 1 + format_float.ROOM // 8


@dataclass(frozen=True)
class NumberTextKind(TextKind):
    """The text of each float32 of its input (`text/format_float.py`)."""

    bucketizer: str = bucketize.NONE

    stem: ClassVar[str] = "number_text"

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> tuple[Procedure, ...]:
        """What writes a text."""
        del columns
        return (format_float.WRITE,)

    def prepare(self, scope, first_row, end_row) -> None:
        """Make room for a text."""
        del first_row, end_row
        scope.state = intrin.array(_WORDS, "int64")

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""
        room, field = intrin.let(intrin.address_of(scope.state)), scope.fields[0]
        first, end = field.elements(row)
        with T.serial(first, end) as element:
            format_float.WRITE.call(field.number(element, "float32"), room)
            accept(Text(room + T.int64(8), intrin.let(intrin.load("int64", room))), T.float32(1))
        intrin.keep(scope.state)
