"""The item store of a loaded artifact: mapped, checked once, and described once for all requests."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.artifact import store
from tvm_rank.artifact.manifest import Manifest, RecordEntry, StoreEntry
from tvm_rank.errors import ArtifactError, InputError
from tvm_rank.runtime.columns import NUMBER, TEXT, WORDS, FieldUse, as_array, as_columns, descriptor, find_column
from tvm_rank.runtime.records import Records
from tvm_rank.runtime.stacks import open_array

STRING = "string"
RECORD_COLUMNS = ("record", "record bytes", "record valid 4", "record valid 8")  # as tvm_rank/items/records.py names them
SLOT_BYTES = 16
PIECE = 1 << 20  # slots that are checked at a time


class ItemStore:
    """`words` (fields, WORDS) int64: descriptors of the item fields, zeros for those of requests · `keys` (1, WORDS): of the key column ·
    `slots` (size, 2): the key index · `values`: what was computed ahead, a row for each item and one for missing items."""

    def __init__(self, folder: pathlib.Path, manifest: Manifest, check_columns: Any, tables: str):
        (self.entry,) = manifest.store
        self._where = f"{folder}: {store.ITEM_FILE}"
        self._keep: list[Any] = []
        batch = self._open(folder / store.ITEM_FILE)
        self.slots = self._open_index(folder)
        rows = self.entry.rows + 1
        self.values = [open_array(folder, value.file, (rows, *value.shape), value.dtype, tables) for value in self.entry.values]
        self.keys = np.array([self._describe(batch, self.entry.key, _key_use(self.entry))], np.int64)
        self.words = np.zeros((max(1, len(manifest.item_fields)), WORDS), np.int64)
        inside = {entry.name: entry for entry in self.entry.records}
        try:
            self._records = Records(batch, RECORD_COLUMNS) if inside else None
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(error) from error
        for k, (name, use) in enumerate(zip(self.entry.columns, manifest.item_fields, strict=True)):
            if name in inside:
                self.words[k] = self._of_records(inside[name])
            elif name:
                self.words[k] = self._describe(batch, name, dataclasses.replace(use, legacy=False))
        columns = [k for k, name in enumerate(self.entry.columns) if name not in inside]
        described = (self.keys, np.ascontiguousarray(self.words[columns]))
        for words in (table for table in described if len(table)):  # no column is left where all fields are in records
            status = np.zeros(len(words), np.int64)
            check_columns(words, status)
            if status.any():
                raise self._damaged("offsets of a column lead outside of its buffers")

    def _damaged(self, what: object) -> ArtifactError:
        return ArtifactError(f"{self._where}: damaged ({what}); make it again with `tvm-rank refresh`")

    def _open(self, path: pathlib.Path) -> pa.RecordBatch:
        """The mapped batch: one, of one row more than there are items, with the columns that the manifest names, each once."""
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            if reader.num_record_batches != 1:
                raise self._damaged(f"{reader.num_record_batches} record batches, wanted 1")
            batch = reader.get_batch(0)
            batch.validate()
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        if batch.num_rows != self.entry.rows + 1:
            raise self._damaged(f"{batch.num_rows} rows, wanted {self.entry.rows + 1}")
        inside = {entry.name for entry in self.entry.records}
        names = {self.entry.key, *filter(None, set(self.entry.columns) - inside), *(RECORD_COLUMNS if inside else ())}
        for name in names:
            if batch.schema.names.count(name) != 1:
                raise self._damaged(f"{batch.schema.names.count(name)} columns {name!r}, wanted 1")
        if batch.column(self.entry.key).type != _key_type(self.entry):
            raise self._damaged(f"its key is {batch.column(self.entry.key).type}, wanted {self.entry.key_type}")
        self._keep.append(batch)
        return batch

    def _of_records(self, entry: RecordEntry) -> list[int]:
        assert self._records is not None
        try:
            return self._records.describe(entry)
        except ValueError as error:
            raise self._damaged(error) from error

    def _describe(self, batch: pa.RecordBatch, name: str, use: FieldUse) -> list[int]:
        try:
            words = descriptor(batch.column(name), use, f"column {name!r}", self._keep)
        except InputError as error:
            raise self._damaged(error) from error
        return words

    def _open_index(self, folder: pathlib.Path) -> np.ndarray:
        """The mapped index: a power of two of slots, one for each item, at least half of them free."""
        path, rows = folder / store.ITEM_INDEX, self.entry.rows
        size, rest = divmod(path.stat().st_size, SLOT_BYTES)
        if rest or size < 2 or size & (size - 1) or size < 2 * rows:
            raise self._damaged(f"{store.ITEM_INDEX} has {path.stat().st_size} bytes for {rows} items")
        slots = np.memmap(path, np.int64, mode="c", shape=(size, 2))
        used = 0
        for first in range(0, size, PIECE):
            numbers = slots[first : first + PIECE, 1]
            used += int(np.count_nonzero(numbers))
            if numbers.min() < 0 or numbers.max() > rows:
                raise self._damaged(f"{store.ITEM_INDEX} leads to an item that is not there")
        if used != rows:
            raise self._damaged(f"{store.ITEM_INDEX} has {used} items, wanted {rows}")
        return slots

    def buffers(self) -> list[pa.Buffer]:
        """The memory of the columns that item fields are read from; the key is among them if a feature reads it."""
        inside = {entry.name for entry in self.entry.records}
        names = {*filter(None, set(self.entry.columns) - inside), *(RECORD_COLUMNS if inside else ())}
        batch = self._keep[0]
        return [buffer for name in sorted(names) for buffer in batch.column(name).buffers() if buffer is not None]

    @property
    def key_use(self) -> FieldUse:
        """The key column as kernels read it."""
        return _key_use(self.entry)

    def ids(self, given: Any) -> pa.Array:
        """The ids of a request, (N,) of the key's type, from an array, a list, or a table that has the key column. Raises InputError."""
        name = self.entry.key
        if isinstance(given, (pa.Table, pa.RecordBatch, dict)):
            given = find_column(as_columns(given, "items")[0], name, "items: this artifact has an item store, so it takes ids")
        if given is None:
            raise InputError(f"items: not given; this artifact has an item store, so give the ids ({name!r}) of the items")
        ids, wanted = as_array(given, f"item ids ({name!r})"), _key_type(self.entry)
        if ids.type == wanted:
            return ids
        is_kind = pa.types.is_integer(ids.type) if wanted == pa.int64() else _is_text(ids.type)
        if not (is_kind or pa.types.is_null(ids.type) or ids.null_count == len(ids)):
            raise InputError(
                f"item ids: got {ids.type}; the keys of the item store ({name!r}) are {self.entry.key_type}; convert the ids"
            )
        try:
            return pa.nulls(len(ids), wanted) if ids.null_count == len(ids) else ids.cast(wanted)
        except pa.ArrowException as error:
            raise InputError(f"item ids: cannot be read as {self.entry.key_type} ({error})") from error

    def id_words(self, ids: pa.Array, keep: list[Any]) -> np.ndarray:
        """The descriptor (1, WORDS) of the ids of a request."""
        return np.array([descriptor(ids, _key_use(self.entry), f"item ids ({self.entry.key!r})", keep)], np.int64)


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or (types.is_dictionary(kind) and _is_text(kind.value_type))
    )


def _key_type(entry: StoreEntry) -> pa.DataType:
    return pa.string() if entry.key_type == STRING else pa.int64()


def _key_use(entry: StoreEntry) -> FieldUse:
    return FieldUse(side="item", name=entry.key, role=TEXT if entry.key_type == STRING else NUMBER)
