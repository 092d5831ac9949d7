"""Requests as servers of a tracker get them: the columns of one side packed in an array, with descriptors that lead into it
(`te_schedules/replay.py` makes addresses of them there)."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tvm

from te_schedules import pack_columns
from te_schedules.lower import PIPELINE
from te_schedules.replay import FIRST
from tvm_rank.artifact.manifest import Manifest
from tvm_rank.errors import InputError, TuningError
from tvm_rank.host.stage import ITEM, REQUEST
from tvm_rank.runtime.columns import Table, as_columns, find_column
from tvm_rank.runtime.host_columns import open_host, with_host_columns
from tvm_rank.runtime.read_side import read_side
from tvm_rank.runtime.request_tables import tables_of
from tvm_rank.runtime.row_map import RowMap
from tvm_rank.tune.requests import RequestData

REQUESTS = 4  # different ones of a size, run in turn: what the caches have of one is not all of what the next one reads
BEHIND = 64  # bytes that may be read behind a text
HOST = {"kind": "llvm"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Packer:
    """manifest: of the artifact, which lies in `folder` · items: the columns of its item store, None without one."""

    manifest: Manifest
    folder: pathlib.Path
    data: RequestData
    items: Mapping[str, pa.Array] | None

    def packed(self, number: int, rows: int, *, of_items: bool) -> tuple[np.ndarray, np.ndarray]:
        """(words (fields, WORDS) int64, memory (bytes,) uint8) of a side of one of the requests with so many items. Raises TuningError when
        the request cannot be read."""
        try:
            return _packed(self._tables(number, rows)[of_items], rows if of_items else 1)
        except InputError as error:
            raise TuningError(f"requests: {error}") from error

    def _tables(self, number: int, rows: int) -> tuple[Table, Table]:
        request: dict[str, Any] = dict(self.data.request(number, rows))
        uses = (*self.manifest.request_fields, *self.manifest.item_fields)
        if self.items is not None:
            request["items"] = self._stored(request["items"])

        def columns(name: str, side: str) -> Mapping[str, Any]:
            names = tuple(dict.fromkeys(use.name for use in uses if use.is_request == (side == REQUEST)))
            given = with_host_columns(self._host, request.get(name), side, name, names)
            return read_side(given, names, name)[0]

        return tables_of(self.manifest, columns("user", REQUEST), columns("items", ITEM), RowMap().rows(None, 1, rows))

    @functools.cached_property
    def _host(self) -> Any:
        return open_host(self.folder, self.manifest.host_stages)

    def _stored(self, given: pa.RecordBatch) -> dict[str, pa.Array]:
        """The fields of items of the store, whose ids are given; of those that it does not have, nulls."""
        assert self.items is not None
        (entry,) = self.manifest.store
        ids, keys = find_column(as_columns(given, "items")[0], entry.key, "items"), self.items[entry.key]
        try:
            rows = pc.index_in(ids.cast(keys.type), keys)
        except pa.ArrowException as error:
            raise InputError(f"item ids ({entry.key!r}): cannot be read as {keys.type} ({error})") from error
        return {name: column.take(rows) for name, column in self.items.items()}


def _packed(table: Table, rows: int) -> tuple[np.ndarray, np.ndarray]:
    status = np.zeros(len(table.words), np.int64)
    kernel("check_columns")(table.words, status)
    if status.any():
        raise InputError(f"column {table.uses[int(np.flatnonzero(status)[0])].name!r} is damaged: its offsets lead outside of it")
    words = np.empty_like(table.words)

    def pack(host: int) -> int:
        end = np.zeros(1, np.int64)
        kernel("pack_columns")(table.words, np.array([host, 0, FIRST, rows, 0, 0], np.int64), words, end)
        return int(end[0])

    memory = np.zeros(pack(0) - FIRST + BEHIND, np.uint8)
    pack(memory.ctypes.data - FIRST)
    return words, memory


@functools.cache
def kernel(name: str) -> Callable[..., Any]:
    """The function of the host of this name that engines for GPUs use, compiled for this machine."""
    from te_schedules import check_columns

    func = {"check_columns": check_columns, "pack_columns": pack_columns}[name].prim_func()
    built = tvm.tirx.build(tvm.IRModule({name: func}), target=tvm.target.Target(HOST), pipeline=PIPELINE)
    found: Callable[..., Any] = built[name]
    return found
