"""Texts as the result of a program, for features that have no bucketizer: counted by one kernel, written by another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.rows import kept_texts
from te_schedules.text import copy

CONSTANTS = ("out", "limit", "default_text_at", "default_text_count")


def _row_texts(section, scope, row, accept: Callable) -> None:
    """Emit `accept(text, weight)` for the texts of a row, in a sequence for those of its elements."""
    if scope.elements is None:
        kept_texts(section, scope, row, accept)
    else:
        scope.elements.each(row, lambda element: kept_texts(section, scope, element, accept))


@dataclass(frozen=True)
class CountTexts:
    """How many texts each row has and how many bytes they take, written to row `out` of `lengths` (features, rows) int32 and of `sizes`
    (features, rows) int64."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind(*CONSTANTS)
        extra = block.buffers.extra
        with T.serial(block.first, block.end) as row:
            count, size = intrin.local("int32", 0), intrin.local("int64", 0)

            def keep(text, _weight, count=count, size=size) -> None:
                intrin.assign(count, count[0] + 1)
                intrin.assign(size, size[0] + text.length)

            _row_texts(section, scope, row, keep)
            T.buffer_store(extra["lengths"], count[0], [scope.int("out"), row])
            T.buffer_store(extra["sizes"], size[0], [scope.int("out"), row])


@dataclass(frozen=True)
class RaggedTexts:
    """All texts (and weights) of each row: their bytes behind `byte_starts[out, row]` of `text`, and where each ends, and its weight,
    behind `starts[out, row]` of `ends` and `weights`."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind(*CONSTANTS)
        extra = block.buffers.extra
        with T.serial(block.first, block.end) as row:
            place = intrin.local("int64", extra["starts"][scope.int("out"), row])
            at = intrin.local("int64", extra["byte_starts"][scope.int("out"), row])

            def keep(text, weight, place=place, at=at) -> None:
                copy.emit(text, intrin.let(intrin.address_of(extra["text"]) + at[0]))
                intrin.assign(at, at[0] + text.length)
                T.buffer_store(extra["ends"], at[0], [place[0]])
                T.buffer_store(extra["weights"], weight, [place[0]])
                intrin.assign(place, place[0] + T.int64(1))

            _row_texts(section, scope, row, keep)
