"""Ids without their table rows: what a feature kernel does but for its lookups, so that the time of these can be told apart.

    out[row, first] = sum of the ids of a row         in the place of        out[row, first ...] = their table rows, pooled

All ids are made, and each is used, so that no compiler leaves one out. Nothing else reads these sums.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from te_schedules.column_group.padded import ElementReader, read_elements
from te_schedules.column_group.rows import IdReader, Place, read_ids


@dataclass(frozen=True)
class IdSums:
    """In the place of pooled rows. Needs the int `out`."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_ids(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, _section, place: Place) -> IdReader:
        """What it does with ids."""
        return _OfRows(place.tensor(block), place.int(scope, "out"))


@dataclass(frozen=True)
class ElementIdSums:
    """In the place of padded rows. Needs the int `out`."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        read_elements(block, scope, section, [self.reader(block, scope, section, Place(section.output))])

    def reader(self, block, scope, _section, place: Place) -> ElementReader:
        """What it does with elements."""
        return _OfElements(place.tensor(block), place.int(scope, "out"))


class _OfRows(IdReader):
    def __init__(self, out, first):
        self.out, self.first = out, first

    def begin(self, row) -> None:
        T.buffer_store(self.out, T.float32(0), [row, self.first])

    def accept(self, number, _weight, row) -> None:
        T.buffer_store(self.out, self.out[row, self.first] + T.cast(number, "float32"), [row, self.first])


class _OfElements(ElementReader):
    def __init__(self, out, first):
        self.out, self.first = out, first

    def begin(self, row, place) -> None:
        T.buffer_store(self.out, T.float32(0), [row, place, self.first])

    def accept(self, number, _weight, row, place) -> None:
        T.buffer_store(self.out, self.out[row, place, self.first] + T.cast(number, "float32"), [row, place, self.first])
