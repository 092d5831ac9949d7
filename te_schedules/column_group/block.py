"""The code of a block of rows inside a kernel: its columns, section by section, and what their code reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import WORDS, Field
from te_schedules.column_group.elements import Elements
from te_schedules.column_group.layout import Layout, Section
from te_schedules.column_group.materialize import Made, Materialize
from te_schedules.feature import Scope

if TYPE_CHECKING:
    from te_schedules.column_group.kernel import Knobs


@dataclass
class Buffers:
    """The buffers that the code of features and sinks reads and writes."""

    columns: Any
    ints: Any
    floats: Any
    bytes: Any
    extra: dict[str, Any]
    made: Any = None  # address of the descriptors of the features that others read, inside of a block

    def field(self, number) -> Field:
        """The field of a descriptor: of the call's table, or behind its rows of those made in the block."""
        if self.made is None:
            return Field(lambda word: self.columns[number, int(word)])
        fields = T.int64(int(self.columns.shape[0]))
        given = intrin.address_of_row(self.columns, 0)
        start = T.Select(number < fields, given, self.made - fields * T.int64(8 * WORDS))
        base = intrin.let(start + number * T.int64(8 * WORDS))
        return Field(lambda word: intrin.load("int64", base + T.int64(8 * int(word))))


class Sink(Protocol):
    """What becomes of the values of a feature. Frozen, so that columns with equal sinks share a loop."""

    def emit(self, block: Block, scope: Scope, section: Any) -> None:
        """Emit the loop over the rows of a block for one column."""


@dataclass(frozen=True)
class Block:
    """A block of rows inside a kernel: [first, end), and the buffers. On a GPU `lanes` threads share its row; `lane` (int64) is which of
    them this one is."""

    first: Any
    end: Any
    buffers: Buffers
    knobs: Knobs
    lane: Any = None
    lanes: int = 1


def emit_block(layout: Layout, buffers: Buffers, rows, knobs: Knobs, first, lane=None) -> None:
    """Emit all columns of one block of rows; `lane`: of the thread, on a GPU."""
    first = intrin.let(first)
    status = buffers.extra.get("status")
    made = Made(layout.made) if layout.made else None
    if made is not None:
        buffers = replace(buffers, made=made.address)
    block = Block(first, intrin.let(T.min(first + T.int64(knobs.block_rows), rows)), buffers, knobs, lane)
    for section in layout.sections:
        with T.serial(T.int64(section.count)) as c:
            at = intrin.let(T.int64(section.first) + c * T.int64(section.stride))
            emit_section(block, Scope(buffers, section.places, at, section.kind.inputs, status), section, made)
    for copies in layout.copies:
        copies.emit(block)
    if made is not None:
        made.free()


def emit_section(block: Block, scope: Scope, section: Section, made: Made | None) -> None:
    """Emit one column: its element rows if it is a sequence, what comes before its rows, its rows, what comes behind."""
    if isinstance(section.sink, Materialize):
        assert made is not None, "a layout with made features says so"
        block = section.sink.narrowed(block, scope, made)
    first, end = block.first, block.end
    if section.sequence is not None:
        scope.elements = Elements(scope, block, section.sequence, section.elements)
        first, end = T.int64(0), scope.elements.total
    section.kind.prepare(scope, first, end)
    section.sink.emit(block, scope, section)
    scope.close()
