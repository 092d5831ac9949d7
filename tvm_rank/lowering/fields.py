"""The fields that a descriptor table has, in order of first use."""

from __future__ import annotations

from tvm_rank.config.spec import Field
from tvm_rank.runtime.columns import FieldUse


class FieldTable:
    """Collects the uses of fields; the number of a use is its row in the descriptor table."""

    def __init__(self) -> None:
        self._rows: dict[FieldUse, int] = {}

    def row(self, field: Field, role: str) -> int:
        """The row of a field read as `role` (text, number or weighted)."""
        use = FieldUse(side=field.side, name=field.name, role=role)
        return self._rows.setdefault(use, len(self._rows))

    @property
    def uses(self) -> tuple[FieldUse, ...]:
        """All uses, by row."""
        return tuple(self._rows)
