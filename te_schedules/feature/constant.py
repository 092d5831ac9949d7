"""A constant of the configuration (`const:1`) as a feature of one text without inputs, which serves all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize
from te_schedules.feature.kind import TextKind
from te_schedules.tokens import Text


@dataclass(frozen=True)
class ConstantKind(TextKind):
    """The text is the column's array `text`."""

    bucketizer: str = bucketize.NONE

    stem: ClassVar[str] = "constant"

    @property
    def inputs(self) -> int:
        """None."""
        return 0

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column."""
        del first_row, end_row
        scope.bind("text_at", "text_count")

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the text."""
        del row
        accept(Text(scope.bytes_address(scope.int("text_at")), scope.int("text_count")), T.float32(1))
