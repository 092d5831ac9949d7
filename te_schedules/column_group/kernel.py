"""The loops around the code of features: blocks of rows in parallel, in each the sections, in each the columns.

One kernel computes all features of a side. `Knobs` names the choices; the defaults are good untuned.

    for block in parallel(rows / block_rows):         (grain_rows: some blocks for each task)
        for section:                      one loop nest in the code: a kind and a sink
            for column in section:        constants are read here
                for row in block:         the feature's code, then the sink's
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import WORDS, Field
from te_schedules.column_group.elements import Elements
from te_schedules.column_group.layout import Layout, Section
from te_schedules.column_group.materialize import Made, Materialize
from te_schedules.feature import Scope

MOST_QUEUED = 120  # the queue's arrays stay on the stack (intrin.array)
MOST_BLOCK_ROWS = 1 << 20
MOST_THREADS = 1024  # of a block on any GPU
CACHED, RECOMPUTED = INTERMEDIATES = ("cached", "recomputed")
OPERATOR = "rank.op"  # the attribute that says which operator a kernel computes


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """block_rows: rows of a block · queue_ids: ids kept before their rows are added, so that the reads of several table rows
    overlap · prefetch: whether the rows of all queued ids are asked for before the first is read · intermediates: what becomes of
    values that have several uses, CACHED: they are made once, RECOMPUTED: for each use · grain_rows: rows that one task of a thread
    takes at least, 0: a block · threads: of a block on a GPU, each with a row of one feature; 0 on a CPU.

    Within a block all rows of one feature are computed before the next feature. So many rows are the feature-major ("push") order,
    which reads constants and code seldom, and one row is the item-major ("pull") order, which reads an item's fields together.
    """

    block_rows: int = 64
    queue_ids: int = 120
    prefetch: bool = True
    intermediates: str = CACHED
    grain_rows: int = 0
    threads: int = 0

    def __post_init__(self):
        for name, least, most in (
            ("block_rows", 1, MOST_BLOCK_ROWS),
            ("queue_ids", 1, MOST_QUEUED),
            ("grain_rows", 0, MOST_BLOCK_ROWS),
            ("threads", 0, MOST_THREADS),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(f"Knobs.{name} is {value!r}; it must be an integer from {least} to {most}")
        if not isinstance(self.prefetch, bool):
            raise ValueError(f"Knobs.prefetch is {self.prefetch!r}; it must be True or False")
        if self.intermediates not in INTERMEDIATES:
            raise ValueError(f"Knobs.intermediates is {self.intermediates!r}; it must be one of {', '.join(INTERMEDIATES)}")

    @staticmethod
    def space() -> Mapping[str, tuple[Any, ...]]:
        """The values of each knob that are worth trying, by its name; any combination is a schedule."""
        return {
            "block_rows": (1, 16, 32, 64, 128, 256, 1024, 4096),
            "queue_ids": (1, 8, 16, 32, 64, MOST_QUEUED),
            "prefetch": (True, False),
            "intermediates": INTERMEDIATES,
            "grain_rows": (0, 128, 256, 512, 1024),
        }


@dataclass(frozen=True)
class Argument:
    """A tensor argument of a kernel: an int in `shape` is fixed, a text names a symbolic dimension."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


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
    """A block of rows inside a kernel: [first, end), and the buffers."""

    first: Any
    end: Any
    buffers: Buffers
    knobs: Knobs


def build(
    name: str,
    operator: str,
    layout: Layout,
    fields: int,
    inputs: Sequence[Argument],
    outputs: Sequence[Argument],
    *,
    rows: str,
    knobs: Knobs,
):
    """The PrimFunc of a group.

    Arguments: columns (fields, WORDS) int64, ints, floats, bytes (constant vectors of the layout), inputs, outputs. `rows` names
    the symbolic dimension that is the number of rows. An output called `status` (refusals,) int64 is set to 0, and a refused row r sets
    its column's element to r + 1.
    """
    fixed = [
        Argument("columns", (fields, WORDS), "int64"),
        Argument("ints", (layout.ints.size,), "int64"),
        Argument("floats", (layout.floats.size,), "float64"),
        Argument("bytes", (layout.bytes.size,), "uint8"),
    ]
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, OPERATOR: operator, "op_pattern": 8})
        symbols: dict[str, Any] = {}
        buffers = {a.name: _match(a, symbols) for a in [*fixed, *inputs, *outputs]}
        named = Buffers(**{a.name: buffers[a.name] for a in fixed}, extra=buffers)
        if knobs.threads:
            _threads(layout, named, symbols[rows], knobs)
        else:
            with intrin.imports():
                _body(layout, named, symbols[rows], knobs)
    return builder.get()


def _match(argument: Argument, symbols: dict[str, Any]):
    handle = T.arg(f"p_{argument.name}", T.handle())
    shape = []
    for extent in argument.shape:
        if isinstance(extent, str) and extent not in symbols:
            symbols[extent] = T.int64()
        shape.append(symbols[extent] if isinstance(extent, str) else extent)
    # a caller's array need not begin at a vector boundary, which TVM would take for granted
    return T.match_buffer(handle, shape, argument.dtype, align=np.dtype(argument.dtype).itemsize)


def _body(layout: Layout, buffers: Buffers, rows, knobs: Knobs) -> None:
    status = buffers.extra.get("status")
    if status is not None:
        with T.serial(T.int64(max(1, len(layout.refusals)))) as k:
            T.buffer_store(status, T.int64(0), [k])
    per_task = max(1, knobs.grain_rows // knobs.block_rows)
    task_rows = per_task * knobs.block_rows
    with T.parallel((rows + T.int64(task_rows - 1)) // T.int64(task_rows)) as task:
        if per_task == 1:
            _block(layout, buffers, rows, knobs, task * T.int64(knobs.block_rows))
            return
        begin = intrin.let(task * T.int64(task_rows))
        end = intrin.let(T.min(begin + T.int64(task_rows), rows))
        with T.serial((end - begin + T.int64(knobs.block_rows - 1)) // T.int64(knobs.block_rows)) as number:
            _block(layout, buffers, rows, knobs, begin + number * T.int64(knobs.block_rows))


def _threads(layout: Layout, buffers: Buffers, rows, knobs: Knobs) -> None:
    """The loops of a GPU: a thread for each row of each column; for each row alone, where columns read each other's values.

    The statuses are set to 0 by a launch before: threads have no order.
    """
    status, size = buffers.extra.get("status"), T.int64(knobs.threads)
    if status is not None:
        count = T.int64(max(1, len(layout.refusals)))
        with T.thread_binding(T.int64(1), "blockIdx.x"), T.thread_binding(T.int64(1), "threadIdx.x"), T.serial(count) as k:
            T.buffer_store(status, T.int64(0), [k])
    apart = not layout.made and not layout.copies
    columns = sum(section.count for section in layout.sections) if apart else 1
    one_row = replace(knobs, block_rows=1)
    with (
        T.thread_binding((rows + size - T.int64(1)) // size, "blockIdx.x") as group,
        T.thread_binding(T.int64(columns), "blockIdx.y") as column,
        T.thread_binding(size, "threadIdx.x") as thread,
        intrin.imports(),
    ):
        row = intrin.let(group * size + thread)
        with T.If(row < rows), T.Then():
            if apart:
                _one_column(layout, buffers, Block(row, row + T.int64(1), buffers, one_row), column)
            else:
                _block(layout, buffers, rows, one_row, row)


def _one_column(layout: Layout, buffers: Buffers, block: Block, column) -> None:
    """The section that has the column (of all columns of all sections), for a row."""
    first = 0
    for section in layout.sections:
        inside = T.And(column >= T.int64(first), column < T.int64(first + section.count))
        with T.If(inside), T.Then():
            at = intrin.let(T.int64(section.first) + (column - T.int64(first)) * T.int64(section.stride))
            scope = Scope(buffers, section.places, at, section.kind.inputs, buffers.extra.get("status"))
            _section(block, scope, section, None)
        first += section.count


def _block(layout: Layout, buffers: Buffers, rows, knobs: Knobs, first) -> None:
    """One block of rows."""
    first = intrin.let(first)
    status = buffers.extra.get("status")
    made = Made(layout.made) if layout.made else None
    if made is not None:
        buffers = replace(buffers, made=made.address)
    block = Block(first, intrin.let(T.min(first + T.int64(knobs.block_rows), rows)), buffers, knobs)
    for section in layout.sections:
        with T.serial(T.int64(section.count)) as c:
            at = intrin.let(T.int64(section.first) + c * T.int64(section.stride))
            _section(block, Scope(buffers, section.places, at, section.kind.inputs, status), section, made)
    for copies in layout.copies:
        copies.emit(block)
    if made is not None:
        made.free()


def _section(block: Block, scope: Scope, section: Section, made: Made | None) -> None:
    """One column: its element rows if it is a sequence, what comes before its rows, its rows, what comes behind."""
    if isinstance(section.sink, Materialize):
        assert made is not None, "a layout with made features says so"
        block = section.sink.narrowed(block, scope, made)
    first, end = block.first, block.end
    if section.sequence is not None:
        scope.elements = Elements(scope, block, section.sequence)
        first, end = T.int64(0), scope.elements.total
    section.kind.prepare(scope, first, end)
    section.sink.emit(block, scope, section)
    scope.close()
