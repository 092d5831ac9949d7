"""The ids of a feature program in one pass: each block of rows writes its ids one behind the other, however many there are.

How many ids a row has is known only when they are made. So a block writes all its features into a piece of memory of its own, in the
order of the kernel, and notes where each feature begins and how many it has; `copy_pieces` then brings the pieces of a feature
together. A piece that is too small is no error: the block goes on counting, and the caller gives it what it needs and runs again.

    block 0:  bases[0] = 0    feature b: 7 7 9 · feature a: 1 | room to spare       places: b (0, 3)  a (3, 1)    used 4
    block 1:  bases[1] = 8    feature b: 5     · feature a: 2 2 | ...               places: b (0, 1)  a (1, 2)    used 3

There are three streams: ids int64, the weights of weighted features float32, and for sequences the ids of each element int32.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.kernel import OPERATOR, Argument
from te_schedules.column_group.rows import for_each_row, kept_ids, row_ids

STREAMS = (("ids", "int64"), ("weights", "float32"), ("key_lengths", "int32"))
IDS, WEIGHTS, KEYS = range(3)
PLACES = 5  # of a feature in a block: begin and count of its ids, begin of its weights, begin and count of its elements
ID_BEGIN, ID_COUNT, WEIGHT_BEGIN, KEY_BEGIN, KEY_COUNT = range(PLACES)


def inputs() -> list[Argument]:
    """bases and ends (streams, blocks) int64: the piece of each block in each stream, in items."""
    return [Argument(name, (len(STREAMS), "blocks"), "int64") for name in ("bases", "ends")]


def outputs(ids: int) -> list[Argument]:
    """lengths (features, rows) int32: the ids of each row, of a sequence its elements · used (blocks, streams) int64, zeros before: how
    many items a block has, also of those that found no room · places (blocks, features, PLACES) int64 · the streams."""
    return [
        Argument("lengths", (ids, "rows"), "int32"),
        Argument("used", ("blocks", len(STREAMS)), "int64"),
        Argument("places", ("blocks", ids, PLACES), "int64"),
        *(Argument(name, (f"room_{name}",), dtype) for name, dtype in STREAMS),
    ]


class _Stream:
    """Where the items of one stream go, inside one column and block."""

    def __init__(self, block, number: int):
        self.extra, self.number = block.buffers.extra, number
        self.buffer = self.extra[STREAMS[number][0]]
        self.block = intrin.let(block.first // T.int64(block.knobs.block_rows))
        self.end = intrin.let(self.extra["ends"][number, self.block])
        self.base = intrin.let(self.extra["bases"][number, self.block])
        self.begin = intrin.let(self.extra["used"][self.block, number])
        self.at = intrin.local("int64", self.base + self.begin)

    def push(self, value) -> None:
        """Emit the append of one item, where there is room."""
        with T.If(self.at[0] < self.end), T.Then():
            T.buffer_store(self.buffer, value, [self.at[0]])
        intrin.assign(self.at, self.at[0] + T.int64(1))

    def close(self, feature, begin: int, count: int | None) -> None:
        """Emit the notes behind the column: the places of the feature, and what the block has used."""
        used = intrin.let(self.at[0] - self.base)
        T.buffer_store(self.extra["places"], self.begin, [self.block, feature, begin])
        if count is not None:
            T.buffer_store(self.extra["places"], used - self.begin, [self.block, feature, count])
        T.buffer_store(self.extra["used"], used, [self.block, self.number])


@dataclass(frozen=True)
class Collect:
    """All ids (and weights) of each row; of a sequence also how many each element has. Needs the int `out`, the feature's number."""

    def emit(self, block, scope, section) -> None:
        """Emit the rows of a block for one column."""
        scope.bind("out", "limit", "default_ids_at", "default_ids_count")
        ids = _Stream(block, IDS)
        weights = _Stream(block, WEIGHTS) if section.kind.has_weights else None
        keys = _Stream(block, KEYS) if scope.elements is not None else None
        lengths = block.buffers.extra["lengths"]

        def keep(number, weight) -> None:
            ids.push(number)
            if weights is not None:
                weights.push(weight)

        def element(row) -> None:
            assert keys is not None
            before = intrin.let(ids.at[0])
            kept_ids(section, scope, row, keep)
            keys.push(T.cast(ids.at[0] - before, "int32"))

        def one_row(row) -> None:
            before = intrin.let(ids.at[0])
            row_ids(section, scope, row, keep)
            T.buffer_store(lengths, T.cast(ids.at[0] - before, "int32"), [scope.int("out"), row])

        if keys is None and section.kind.has_single_ids:
            _single_or_rows(block, scope, section, ids, one_row)
        elif keys is None:
            for_each_row(block, scope, section, one_row)
        else:
            with T.serial(block.first, block.end) as row:
                first, end = scope.elements.bounds(row)
                scope.elements.each(row, element)
                T.buffer_store(lengths, T.cast(end - first, "int32"), [scope.int("out"), row])
        ids.close(scope.int("out"), ID_BEGIN, ID_COUNT)
        if weights is not None:
            weights.close(scope.int("out"), WEIGHT_BEGIN, None)
        if keys is not None:
            keys.close(scope.int("out"), KEY_BEGIN, KEY_COUNT)


def _single_or_rows(block, scope, section, ids: _Stream, one_row) -> None:
    """The rows of a block: one id each at once, where the kind says so and there is room for all."""
    rows = intrin.let(block.end - block.first)
    single = section.kind.single_ids(scope, block.first, block.end)
    with T.If(T.And(single, ids.at[0] + rows <= ids.end)):
        with T.Then(), scope.branch():
            section.kind.emit_single_ids(scope, block.first, block.end, intrin.let(intrin.address_of(ids.buffer, ids.at[0])))
            intrin.assign(ids.at, ids.at[0] + rows)
            with T.serial(block.first, block.end) as row:
                T.buffer_store(block.buffers.extra["lengths"], T.int32(1), [scope.int("out"), row])
        with T.Else(), scope.branch():
            for_each_row(block, scope, section, one_row)


def copy_pieces(name: str = "copy_pieces"):
    """The kernel: sources, targets, sizes (pieces,) int64, addresses and bytes -> done (1,) int64; copies each piece."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, OPERATOR: "rank.copy_pieces"})
        handles = [T.arg(f"p_{argument}", T.handle()) for argument in ("sources", "targets", "sizes", "done")]
        pieces = T.int64()
        sources, targets, sizes = (T.match_buffer(handle, (pieces,), "int64", align=8) for handle in handles[:3])
        done = T.match_buffer(handles[3], (1,), "int64", align=8)
        with intrin.imports():
            T.buffer_store(done, T.int64(1), [0])
            with T.parallel(pieces) as k:
                intrin.copy(targets[k], sources[k], sizes[k])
    return builder.get()
