"""Write the item store of an artifact: its Arrow file and its key index, by the kernels of the artifact itself."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.artifact import store
from tvm_rank.artifact.manifest import ROWS, Manifest, RecordEntry, StoreEntry
from tvm_rank.errors import InputError
from tvm_rank.items.columns import stored_columns
from tvm_rank.items.kept import kept_columns
from tvm_rank.items.records import fits_record, record_columns
from tvm_rank.items.source import STRING, key_type
from tvm_rank.items.values import write_values
from tvm_rank.runtime.columns import NUMBER, TEXT, FieldUse, descriptor
from tvm_rank.runtime.host_columns import open_host
from tvm_rank.runtime.library import kernel, open_library
from tvm_rank.runtime.links import Links

Progress = Callable[[str], None]


def write_store(
    folder: pathlib.Path,
    manifest: Manifest,
    items: Mapping[str, pa.Array],
    say: Progress,
    check: Callable[[Mapping[str, pa.Array], Sequence[str]], None] = lambda _columns, _names: None,
) -> StoreEntry:
    """Write the store of these items (`read_items`) into the folder of an artifact, whose libraries are there.

    check: called with the columns, and the name of the column of each item field, before a kernel reads them.

    Raises InputError for a column that a feature cannot read, and for keys that are null or occur twice.
    """
    (wanted,) = manifest.store
    library = open_library(folder, store.STORE_LIBRARY if (folder / store.STORE_LIBRARY).exists() else store.LIBRARY)
    say("preparing the item columns")
    links, host = Links(folder, manifest.links, library), open_host(folder, manifest.host_stages)
    uses = manifest.item_fields[: len(manifest.item_fields) - len(wanted.kept_features)]
    columns, names = stored_columns(items, uses, links, host, wanted.key)
    check(columns, names)
    if key_type(columns[wanted.key]) != wanted.key_type:
        raise InputError(
            f"items column {wanted.key!r}: is {key_type(columns[wanted.key])}, compiled was {wanted.key_type}; convert it"
        )
    (folder / store.ITEMS).mkdir(exist_ok=True)
    say("indexing the item keys")
    slots = key_slots(library, columns[wanted.key], wanted.key)
    slots.tofile(folder / store.ITEM_INDEX)
    for kept_entry in wanted.kept:
        made = kept_columns(folder, manifest, kept_entry, [columns.get(name) for name in names], library, say)
        columns, names = columns | made, (*names, *made)
    say("writing the item store")
    served = tuple(name if was else "" for name, was in zip(names, wanted.columns, strict=True))
    kept = {name: array for name, array in columns.items() if name == wanted.key or name in served}
    kept, records = _laid_out(kept, served, wanted)
    write_arrow(folder / store.ITEM_FILE, kept)
    entry = dataclasses.replace(wanted, rows=len(columns[wanted.key]) - 1, columns=served, records=records)
    if entry.values:
        write_values(folder, manifest, entry, [columns.get(name) for name in names], library, say)
    return entry


def _laid_out(
    columns: Mapping[str, pa.Array], served: Sequence[str], wanted: StoreEntry
) -> tuple[dict[str, pa.Array], tuple[RecordEntry, ...]]:
    """The columns of the file: as they are, or those of fields that fit into records replaced by these. The key is a column in any case."""
    inside = {
        name: columns[name] for name in dict.fromkeys(served) if name and wanted.layout == ROWS and fits_record(columns[name])
    }
    if not inside:
        return dict(columns), ()
    made, records = record_columns(inside)
    return {name: array for name, array in columns.items() if name == wanted.key or name not in inside} | made, records


def write_arrow(path: pathlib.Path, columns: Mapping[str, pa.Array]) -> None:
    """An Arrow IPC file of one record batch."""
    batch = pa.record_batch(list(columns.values()), names=list(columns))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def slot_count(rows: int) -> int:
    """A power of two, twice the rows at least."""
    return 1 << max(1, (2 * rows - 1).bit_length() if rows else 1)


def key_slots(library: Any, keys: pa.Array, name: str) -> np.ndarray:
    """The index (slots, 2) int64 of a key column, whose last row is that of missing items. Raises InputError for bad keys."""
    slots, status = np.zeros((slot_count(len(keys) - 1), 2), np.int64), np.zeros(3, np.int64)
    keep: list[Any] = []
    kernel(library, "build_index")(key_words(keys, name, keep), slots, status)
    what, row, other = status.tolist()
    if what == 1:
        raise InputError(f"items column {name!r}: row {row} is null; give each item a key")
    if what:
        raise InputError(
            f"items column {name!r}: rows {other} and {row} have the same key {keys[row].as_py()!r}; give each item one row"
        )
    return slots


def key_words(keys: pa.Array, name: str, keep: list[Any]) -> np.ndarray:
    """The descriptor (1, WORDS) of a key column, of the store or of a request; one row stands for itself alone."""
    role = TEXT if key_type(keys) == STRING else NUMBER
    return np.array([descriptor(keys, FieldUse(side="item", name=name, role=role), f"items column {name!r}", keep)], np.int64)
