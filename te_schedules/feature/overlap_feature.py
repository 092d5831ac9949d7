"""overlap_feature: one number from the terms of a query and a title. The methods are defined by `tvm_rank.ops.overlap_feature.reference`.

Terms are found again for each comparison instead of being kept, because a row has few of them and their number has no bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.bucketize import boundaries
from te_schedules.feature import normalize
from te_schedules.feature.id_feature import separators
from te_schedules.text import equal
from te_schedules.tokens import Text, for_each_token


class Terms:
    """The terms of both sides of one row, with walks over them."""

    def __init__(self, scope, row):
        self._scope, self._row = scope, row

    def _each(self, side: int, body: Callable[[Text, Any], None]) -> None:
        """Emit `body(term, position)` for each term of a side (0 query, 1 title)."""
        position = intrin.local("int64", 0)

        def token(text, _element) -> None:
            body(text, T.bind(position[0]))
            intrin.assign(position, position[0] + T.int64(1))

        for_each_token(self._scope.fields[side], self._row, separators(self._scope), token)

    def query(self, body: Callable[[Text, Any], None]) -> None:
        """Each query term."""
        self._each(0, body)

    def title(self, body: Callable[[Text, Any], None]) -> None:
        """Each title term."""
        self._each(1, body)


@dataclass(frozen=True)
class OverlapKind:
    """`method` of the feature, then `normalizer` (a shape of `feature/normalize.py`), then boundaries if `bucketized`."""

    method: str
    normalizer: Any = None
    bucketized: bool = False

    stem: ClassVar[str] = "overlap_feature"
    field_count: ClassVar[int] = 2
    weighted: ClassVar[bool] = False
    can_fail: ClassVar[bool] = False

    @property
    def yields_ids(self) -> bool:
        """True with boundaries."""
        return self.bucketized

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column."""
        scope.bind("separator", "normalizer_at", "missing_at")
        if self.bucketized:
            scope.bind("boundaries_at", "boundaries_count")

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the bucket id of one row."""
        accept(boundaries.emit(scope, self._value(scope, row)), T.float32(1))

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the number of one row."""
        write(T.int64(0), self._value(scope, row))
