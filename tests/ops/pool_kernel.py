"""Lookups without a feature type: a kernel that reads ids from an Arrow list or map as they are, so that many lookups compile quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import tvm
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import WORDS, Word
from te_schedules.column_group import kernel
from te_schedules.column_group.layout import Use, lay_out
from te_schedules.column_group.pool import Pool
from te_schedules.column_group.table_format import TableFormat
from te_schedules.feature import Column
from te_schedules.feature.kind import Kind
from te_schedules.lower import PIPELINE
from tvm_rank.ops.table_rows import FP32, PAD_BYTES, encode, row_bytes

NO_LIMIT = 1 << 40


@dataclass(frozen=True)
class PlainIds(Kind):
    """The int64 elements of a list column without nulls, with its weights (float32)."""

    stem: ClassVar[str] = "plain_ids"
    weighted: bool

    @property
    def has_weights(self) -> bool:
        return self.weighted

    def prepare(self, scope, first_row, end_row) -> None:
        del first_row, end_row
        scope.bind("limit", "default_ids_at", "default_ids_count")
        for word in (Word.LIST, Word.DATA, Word.WEIGHT):
            scope.fields[0][word]

    def emit_ids(self, scope, row, accept) -> None:
        field = scope.fields[0]
        at = intrin.let(field[Word.LIST] + row * T.int64(4))
        first, end = (intrin.let(T.cast(intrin.load("int32", at + T.int64(k)), "int64")) for k in (0, 4))
        with T.serial(first, end) as k:
            weight = intrin.load("float32", field[Word.WEIGHT] + k * T.int64(4)) if self.weighted else T.float32(1)
            accept(intrin.let(intrin.load("int64", field[Word.DATA] + k * T.int64(8))), weight)


@dataclass(frozen=True)
class Lookup:
    """A lookup of the ids in the table of its precision and width."""

    combiner: str
    precision: str
    dim: int
    weighted: bool = False


class PoolKernel:
    """One kernel for these lookups. tables: (precision, dim) -> float32 (ids, dim)."""

    def __init__(
        self,
        lookups: Sequence[Lookup],
        tables: Mapping[tuple[str, int], np.ndarray],
        target: Any,
        pipeline: str = PIPELINE,
        **knobs: Any,
    ):
        self.lookups, self.stacks = lookups, {key: stored(table, key[0]) for key, table in tables.items()}
        names = {key: f"stack{k}" for k, key in enumerate(tables)}
        uses = []
        for number, one in enumerate(lookups):
            ints = {"limit": NO_LIMIT, "default_ids_at": 0, "default_ids_count": 0}
            column = Column(name=str(one), kind=PlainIds(one.weighted), fields=(0,), ints=ints)
            sink = Pool(one.combiner, names[one.precision, one.dim], TableFormat(one.precision, one.dim))
            uses.append(Use(column=column, sink=sink, output=number, ints={"out": 0, "table_row": 0}))
        self.layout = lay_out(uses)
        inputs = [kernel.Argument(names[key], stack.shape, str(stack.dtype)) for key, stack in self.stacks.items()]
        outputs = [kernel.Argument(f"out{k}", ("rows", one.dim), "float32") for k, one in enumerate(lookups)]
        with target:
            code = kernel.build("pool", "rank.features", self.layout, 1, inputs, outputs, rows="rows", knobs=kernel.Knobs(**knobs))
        self.code = tvm.tirx.build(tvm.IRModule({"pool": code}), target=target, pipeline=pipeline)

    def __call__(self, offsets: np.ndarray, ids: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
        """The pooled rows of each lookup. offsets (rows + 1,) int32 · ids int64 · weights float32."""
        words = words_of(*(array.ctypes.data for array in (offsets, ids, weights)))
        out = [np.full((len(offsets) - 1, one.dim), np.nan, np.float32) for one in self.lookups]
        layout = self.layout
        self.code["pool"](words, layout.ints, layout.floats, layout.bytes, *self.stacks.values(), *out)
        return out


def words_of(offsets: int, ids: int, weights: int) -> np.ndarray:
    """The descriptor of a column of ids with weights, given the addresses of its parts."""
    words = np.zeros((1, WORDS), np.int64)
    words[0, [Word.LIST, Word.DATA, Word.WEIGHT]] = offsets, ids, weights
    return words


def stored(table: np.ndarray, precision: str) -> np.ndarray:
    """The table as a stack of its own."""
    if precision == FP32:
        return table
    rows = encode(table, precision)
    return np.concatenate([rows.ravel(), np.full(PAD_BYTES, 255, np.uint8)])[: rows.size].reshape(
        -1, row_bytes(precision, table.shape[1])
    )


def columns_of(bags: Sequence[Sequence[tuple[int, float]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(offsets, ids, weights) of rows of (id, weight)."""
    pairs = [pair for bag in bags for pair in bag]
    offsets = np.cumsum([0, *(len(bag) for bag in bags)]).astype(np.int32)
    return offsets, np.array([k for k, _ in pairs], np.int64), np.array([w for _, w in pairs], np.float32)


def arrow_of(bags: Sequence[Sequence[tuple[int, float]]]) -> dict[str, pa.Array]:
    """The same as columns of a request: `ids` and `pairs`."""
    ids = pa.array([[number for number, _ in bag] for bag in bags], pa.list_(pa.int64()))
    return {"ids": ids, "pairs": pa.array(list(bags), pa.map_(pa.int64(), pa.float32()))}
