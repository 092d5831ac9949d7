"""Where the values of sequence features go in a feature program: element by element, behind the starts that the host computed."""

from __future__ import annotations

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.rows import kept_ids
from te_schedules.column_group.sinks import Count


@dataclass(frozen=True)
class CountSequence:
    """How many elements each row has, written to row `sequence` of `elements` (sequences, rows) int32; with `ids` also what `Count` writes."""

    ids: bool

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("sequence")
        if self.ids:
            Count().emit(block, scope, section)
        counts = block.buffers.extra["elements"]
        with T.serial(block.first, block.end) as row:
            first, end = scope.elements.bounds(row)
            T.buffer_store(counts, T.cast(end - first, "int32"), [scope.int("sequence"), row])


@dataclass(frozen=True)
class RaggedSequence:
    """All ids (and weights) of each row, written behind `starts[out, row]` of `values` (and `weights`), and how many each element has,
    behind `element_starts[sequence, row]` of `key_lengths`."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out", "sequence", "limit", "default_ids_at", "default_ids_count")
        extra = block.buffers.extra
        with T.serial(block.first, block.end) as row:
            place = intrin.local("int64", extra["starts"][scope.int("out"), row])
            key = intrin.local("int64", extra["element_starts"][scope.int("sequence"), row])

            def one(element, place=place, key=key) -> None:
                before = intrin.let(place[0])

                def keep(number, weight) -> None:
                    T.buffer_store(extra["values"], number, [place[0]])
                    T.buffer_store(extra["weights"], weight, [place[0]])
                    intrin.assign(place, place[0] + T.int64(1))

                kept_ids(section, scope, element, keep)
                T.buffer_store(extra["key_lengths"], T.cast(place[0] - before, "int32"), [key[0]])
                intrin.assign(key, key[0] + T.int64(1))

            scope.elements.each(row, one)


@dataclass(frozen=True)
class SequenceNumbers:
    """The numbers of the elements of each row, written behind `starts[sequence, row]` of `numbers`."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("sequence", "dimension")
        extra = block.buffers.extra
        with T.serial(block.first, block.end) as row:
            place = intrin.local("int64", extra["starts"][scope.int("sequence"), row])

            def one(element, place=place) -> None:
                def write(k, value) -> None:
                    T.buffer_store(extra["numbers"], value, [place[0] + k])

                section.kind.emit_numbers(scope, element, write)
                intrin.assign(place, place[0] + scope.int("dimension"))

            scope.elements.each(row, one)
