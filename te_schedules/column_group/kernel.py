"""The loops around the code of features: blocks of rows in parallel, in each the sections, in each the columns.

One kernel computes all features of a side. `Knobs` names the choices; the defaults are good untuned.

    for block in parallel(rows / block_rows):         (grain_rows: some blocks for each task)
        for section:                      one loop nest in the code: a kind and a sink
            for column in section:        constants are read here
                for row in block:         the feature's code, then the sink's
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import WORDS
from te_schedules.column_group import threads
from te_schedules.column_group.block import Buffers, emit_block
from te_schedules.column_group.lane_choice import ITEM_ROWS
from te_schedules.column_group.layout import Layout

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
    takes at least, 0: a block · threads: of a block on a GPU; 0 on a CPU · lanes: how many of them share a row of one feature that reads
    a table: 1, a part of a warp, a warp (32), or all threads of a block; 0: as the modelled cost says, for each column group
    (`lane_choice.py`).

    Within a block all rows of one feature are computed before the next feature. So many rows are the feature-major ("push") order,
    which reads constants and code seldom, and one row is the item-major ("pull") order, which reads an item's fields together.
    """

    block_rows: int = 64
    queue_ids: int = 120
    prefetch: bool = True
    intermediates: str = CACHED
    grain_rows: int = 0
    threads: int = 0
    lanes: int = 0

    def __post_init__(self):
        for name, least, most in (
            ("block_rows", 1, MOST_BLOCK_ROWS),
            ("queue_ids", 1, MOST_QUEUED),
            ("grain_rows", 0, MOST_BLOCK_ROWS),
            ("threads", 0, MOST_THREADS),
            ("lanes", 0, MOST_THREADS),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(f"Knobs.{name} is {value!r}; it must be an integer from {least} to {most}")
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"Knobs.lanes is {self.lanes}; it must be a power of two, or 0 for the choice of the cost model")
        if self.threads and self.lanes and self.threads % self.lanes:
            raise ValueError(f"Knobs.threads is {self.threads}; it must be a multiple of Knobs.lanes, which is {self.lanes}")
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

    @staticmethod
    def gpu_space() -> Mapping[str, tuple[Any, ...]]:
        """The same for a GPU."""
        return {"threads": (32, 64, 128, 256), "lanes": (0, 1, 2, 4, 8, 16, 32)}


@dataclass(frozen=True)
class Argument:
    """A tensor argument of a kernel: an int in `shape` is fixed, a text names a symbolic dimension."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


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
    usual_rows: int = ITEM_ROWS,
):
    """The PrimFunc of a group.

    Arguments: columns (fields, WORDS) int64, ints, floats, bytes (constant vectors of the layout), inputs, outputs. `rows` names
    the symbolic dimension that is the number of rows. An output called `status` (refusals,) int64 is set to 0, and a refused row r sets
    its column's element to r + 1. usual_rows: how many a schedule that goes by the cost is for.
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
            threads.emit(layout, named, symbols[rows], knobs, usual_rows)
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
            emit_block(layout, buffers, rows, knobs, task * T.int64(knobs.block_rows))
            return
        begin = intrin.let(task * T.int64(task_rows))
        end = intrin.let(T.min(begin + T.int64(task_rows), rows))
        with T.serial((end - begin + T.int64(knobs.block_rows - 1)) // T.int64(knobs.block_rows)) as number:
            emit_block(layout, buffers, rows, knobs, begin + number * T.int64(knobs.block_rows))
