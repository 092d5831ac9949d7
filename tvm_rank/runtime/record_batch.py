"""The quick way from record batches to descriptors: Arrow exports its structs, a compiled kernel reads them (`te_schedules/bind_columns.py`).

It serves a request whose user and item columns are pyarrow Tables of one chunk or RecordBatches of types that need no conversion;
every other request takes the way through `columns.descriptor`, which is also what refuses wrong types and names missing columns.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.errors import InputError
from tvm_rank.runtime.columns import FLOATS, FORMS, MAPS, NUMBER, TEXT_FORM, FieldUse

STRUCT_WORDS, RELEASE = 10, 8  # struct ArrowArray: its 64-bit members, and the place of its release callback among them
NOTHING = [1, -1, 0, 0, 0]  # a row of a plan whose column does not come from a record batch
NO_COLUMNS = pa.RecordBatch.from_struct_array(pa.array([{}], pa.struct([])))  # one row without columns


def one_batch(table: Any, where: str) -> pa.RecordBatch | None:
    """The table as one valid record batch, or None when it is something else. Raises InputError for damaged Arrow data."""
    if isinstance(table, pa.Table):
        batches = table.to_batches()
        if len(batches) != 1:
            return None
        table = batches[0]
    if not isinstance(table, pa.RecordBatch):
        return None
    try:
        table.validate()
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: the Arrow data is damaged ({error})") from error
    return table


class Structs:
    """Room for two struct ArrowArray, of a request's user and of its items, which stays at its place. `sources` is what the kernel that reads
    them is given: both addresses, and that of the row map."""

    def __init__(self) -> None:
        import tvm_ffi

        self._memory = (ctypes.c_int64 * (2 * STRUCT_WORDS))()
        self._user = ctypes.addressof(self._memory)
        self._items = self._user + 8 * STRUCT_WORDS
        self._sources = np.array([self._user, self._items, 0], np.int64)
        self.sources = tvm_ffi.from_dlpack(self._sources)

    def export(self, user: pa.RecordBatch, items: pa.RecordBatch | None, row_map: int) -> None:
        """Fill the structs, until `release`. row_map: the address of one, or 0."""
        self._sources[2] = row_map
        user._export_to_c(self._user)
        if items is not None:
            items._export_to_c(self._items)

    def release(self) -> None:
        """Let go of what was exported, also by an `export` that failed."""
        for callback, struct in ((self._memory[RELEASE], self._user), (self._memory[STRUCT_WORDS + RELEASE], self._items)):
            if callback:
                _release(callback)(struct)


@functools.lru_cache(maxsize=8)
def _release(callback: int) -> Any:
    """The function at an address; Arrow has one for all arrays."""
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(callback)


def plan(uses: Sequence[FieldUse], user: pa.Schema, items: pa.Schema, *, mapped: bool, stored: bool = False) -> np.ndarray | None:
    """The plan (fields, 5) int64 of a descriptor table, or None when a column is missing, or of a type that needs more than reading.
    Without fields it has one row, as the table has.

    mapped: whether the rows of request columns are found through the row map · stored: whether item fields come from an item store, not
    from a column.
    """
    rows = []
    for use in uses:
        if stored and not use.is_request:
            rows.append(NOTHING)
            continue
        schema = user if use.is_request else items
        place = schema.get_field_index(use.name)
        if place < 0:
            return None
        kind = schema.field(place).type
        is_list = pa.types.is_list(kind)
        form = FORMS.get(kind.value_type if is_list else kind)
        if use.legacy or form is None or (form in FLOATS and use.role != NUMBER) or (form != TEXT_FORM and use.role in MAPS):
            return None  # among them maps
        rows.append([0 if use.is_request else 1, place, form, int(is_list), int(mapped and use.is_request)])
    return np.array(rows or [NOTHING], np.int64)
