"""combo_feature: the Cartesian product of the values of several fields, joined with "_"; the first field is the outer loop.

The text of the outer values is written once and kept while the inner loops run. A field without values makes the product empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize
from te_schedules.feature.id_feature import separators
from te_schedules.feature.join import Joined
from te_schedules.feature.kind import TextKind
from te_schedules.tokens import find_splits, for_each_token


@dataclass(frozen=True)
class ComboKind(TextKind):
    """`bucketizer` is a name of `te_schedules.bucketize` (NONE: texts); texts start with the column's array `prefix` (empty for none)."""

    bucketizer: str
    field_count: int

    stem: ClassVar[str] = "combo_feature"

    @property
    def inputs(self) -> int:
        """The fields that are crossed."""
        return self.field_count

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; make room for the joined texts."""
        bucketize.bind_constants(self.bucketizer, scope)
        scope.bind("separator")
        find_splits(scope, first_row, end_row, separators(scope))
        scope.joined = Joined(scope, first_row, end_row)

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""
        joined = scope.joined

        def level(k: int, address) -> None:
            def token(text, _element) -> None:
                end = joined.append(address, text)
                if k + 1 < self.field_count:
                    level(k + 1, joined.underscore(end))
                else:
                    accept(joined.text(end), T.float32(1))

            for_each_token(scope.fields[k], row, separators(scope), token)

        level(0, joined.start)
