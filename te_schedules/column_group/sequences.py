"""Where the numbers of sequence features go in a feature program: element by element, behind the starts that the host computed."""

from __future__ import annotations

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin


@dataclass(frozen=True)
class CountSequence:
    """How many elements each row has, written to row `sequence` of `elements` (sequences, rows) int32."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        del section
        scope.bind("sequence")
        counts = block.buffers.extra["elements"]
        with T.serial(block.first, block.end) as row:
            first, end = scope.elements.bounds(row)
            T.buffer_store(counts, T.cast(end - first, "int32"), [scope.int("sequence"), row])


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
