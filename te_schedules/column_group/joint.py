"""Several uses of one feature in one loop: its ids are made once, and each use has them while they are in registers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from te_schedules.column_group.filled import FilledPool, FirstElements, FirstRow
from te_schedules.column_group.id_sums import ElementIdSums, IdSums
from te_schedules.column_group.padded import ElementCounts, PaddedEmbeddings, PaddedIds, read_elements
from te_schedules.column_group.pool import Pool
from te_schedules.column_group.rows import Place, read_ids
from te_schedules.column_group.sinks import FirstId

OF_ROWS = (Pool, FirstRow, FilledPool, FirstId, IdSums)
OF_ELEMENTS = (PaddedEmbeddings, FirstElements, PaddedIds, ElementCounts, ElementIdSums)


@dataclass(frozen=True)
class Joint:
    """What several sinks make of the ids of a feature, or of the elements of a sequence. `members`: (sink, number of its output); the ints
    of member k, but for the first, end in `suffix(k)`."""

    members: tuple[tuple[Any, int], ...]

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        places = [Place(output, suffix(k)) for k, (_, output) in enumerate(self.members)]
        readers = [sink.reader(block, scope, section, place) for (sink, _), place in zip(self.members, places, strict=True)]
        (read_elements if isinstance(self.members[0][0], OF_ELEMENTS) else read_ids)(block, scope, section, readers)

    def __str__(self) -> str:
        return " and ".join(str(sink) for sink, _ in self.members)


def suffix(member: int) -> str:
    """What the names of the ints of a member end in."""
    return f"_{member}" if member else ""


def family(sink: Any) -> type | None:
    """Sinks of one family can be joint; None for those that cannot."""
    return next((of[0] for of in (OF_ROWS, OF_ELEMENTS) if isinstance(sink, of)), None)
