"""The loops of a GPU: `lanes` threads for each row of each column, in one launch.

    threads = 64                block of threads     0            1           ... k          k + 1
    columns a, b  4 lanes                            a: rows 0..15  a: 16..31     b: 0..15
    column  c     1 lane                                                                     c: 0..63

A column group has a row of blocks of its own, as many as its lanes ask for, so that no thread is there for nothing. Columns that read
each other's values (`materialize.py`) take one thread for each row, all of them together; the others are not held up by them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin, thread_memory
from te_schedules.column_group.block import Block, Buffers, emit_block, emit_section
from te_schedules.column_group.lane_choice import lanes_of
from te_schedules.column_group.layout import Layout, Section
from te_schedules.column_group.materialize import Materialize
from te_schedules.feature import Scope
from te_schedules.feature.kind import HEAP_RULE, RULE

if TYPE_CHECKING:
    from te_schedules.column_group.kernel import Knobs


@dataclass(frozen=True)
class _Part:
    """What has blocks of threads of its own: the columns of a section, or, for None, all that read each other."""

    section: Section | None
    columns: int
    lanes: int


def lanes_by_section(layout: Layout, knobs: Knobs, usual_rows: int) -> tuple[int, ...]:
    """The lanes of each section of a layout, in blocks of `knobs.threads`; loops of a CPU in the place of threads have its vectors instead."""
    if not intrin.on_gpu():
        return (1,) * len(layout.sections)
    choice = {"lanes": knobs.lanes, "threads": knobs.threads, "rows": usual_rows}
    return tuple(1 if _is_joined(layout, section) else lanes_of(section, **choice) for section in layout.sections)


def _is_joined(layout: Layout, section: Section) -> bool:
    """Whether a section writes what others read, or reads it."""
    return bool(layout.copies) or section.level > 0 or isinstance(section.sink, Materialize)


def _parts(layout: Layout, knobs: Knobs, usual_rows: int) -> Iterator[_Part]:
    lanes = lanes_by_section(layout, knobs, usual_rows)
    for section, count in zip(layout.sections, lanes, strict=True):
        if not _is_joined(layout, section):
            yield _Part(section, section.count, count)
    if any(_is_joined(layout, section) for section in layout.sections):
        yield _Part(None, 1, 1)


def emit(layout: Layout, buffers: Buffers, rows, knobs: Knobs, usual_rows: int) -> None:
    """Emit the threads of a kernel. The statuses are set to 0 by a launch before: threads have no order."""
    status = buffers.extra.get("status")
    if status is not None:
        count = T.int64(max(1, len(layout.refusals)))
        with T.thread_binding(T.int64(1), "blockIdx.x"), T.thread_binding(T.int64(1), "threadIdx.x"), T.serial(count) as k:
            T.buffer_store(status, T.int64(0), [k])
    size, parts = T.int64(knobs.threads), list(_parts(layout, knobs, usual_rows))

    def blocks(lanes: int) -> Any:
        return (rows * T.int64(lanes) + size - T.int64(1)) // size

    columns: dict[int, int] = {}
    for part in parts:
        columns[part.lanes] = columns.get(part.lanes, 0) + part.columns
    total: Any = sum((blocks(lanes) * T.int64(count) for lanes, count in columns.items()), T.int64(0))
    with (
        T.thread_binding(total, "blockIdx.x") as group,
        T.thread_binding(size, "threadIdx.x") as thread,
        intrin.imports(),
        _owner(layout, buffers),
    ):
        of_column = {lanes: intrin.let(blocks(lanes)) for lanes in columns}
        first: Any = T.int64(0)
        for part in parts:
            behind = intrin.let(first + of_column[part.lanes] * T.int64(part.columns))
            with T.If(T.And(group >= first, group < behind)), T.Then():
                _part(
                    layout, buffers, rows, replace(knobs, block_rows=1), part, _Here(group - first, of_column[part.lanes], thread)
                )
            first = behind


@dataclass(frozen=True)
class _Here:
    """A thread: its block among those of a part, how many blocks a column has, its number in the block (all int64)."""

    block: Any
    of_column: Any
    thread: Any


def _owner(layout: Layout, buffers: Buffers) -> contextlib.AbstractContextManager[None]:
    """A frame in which code can take memory, if the layout says that some does."""
    if not layout.takes_memory:
        return contextlib.nullcontext()
    return thread_memory.owner(intrin.address_of(buffers.extra["status"], len(layout.refusals) - 1))


def _part(layout: Layout, buffers: Buffers, rows, knobs: Knobs, part: _Part, here: _Here) -> None:
    column = intrin.let(T.truncdiv(T.cast(here.block, "int32"), T.cast(here.of_column, "int32")))
    column = intrin.let(T.cast(column, "int64"))
    item = intrin.let((here.block - column * here.of_column) * T.int64(knobs.threads) + here.thread)
    row = intrin.let(T.truncdiv(item, T.int64(part.lanes)))
    lane = intrin.let(item - row * T.int64(part.lanes)) if intrin.on_gpu() else None
    with T.If(row < rows), T.Then():
        if layout.takes_memory:
            thread_memory.own_row(row + T.int64(1 + HEAP_RULE * RULE))
        if part.section is None:
            joined = tuple(section for section in layout.sections if _is_joined(layout, section))
            emit_block(replace(layout, sections=joined), buffers, rows, knobs, row, lane)
            return
        block = Block(row, row + T.int64(1), buffers, knobs, lane, part.lanes)
        at = intrin.let(T.int64(part.section.first) + column * T.int64(part.section.stride))
        scope = Scope(buffers, part.section.places, at, part.section.kind.inputs, buffers.extra.get("status"))
        emit_section(block, scope, part.section, None)
