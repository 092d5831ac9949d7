"""The values that an artifact computes ahead for each item: its own kernels run over the items, batch by batch."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.artifact.manifest import Manifest, StoreEntry
from tvm_rank.errors import InputError, RowError
from tvm_rank.runtime import tvm_runtime
from tvm_rank.runtime.columns import Table
from tvm_rank.runtime.library import new_machine
from tvm_rank.runtime.program import Refusal, check, raise_refusal
from tvm_rank.runtime.stacks import MAPPED, open_stack

BATCH_ROWS = 4096
FUNCTION = "item_values_columns"  # of the library (`relay_passes/add_entries.py`)
SAY_EVERY = 64  # batches


def write_values(
    folder: pathlib.Path,
    manifest: Manifest,
    entry: StoreEntry,
    columns: Sequence[pa.Array | None],
    library: Any,
    say: Callable[[str], None],
) -> None:
    """Write the files of `entry.values`. columns: for each item field its column, with the row of missing items; None for request fields.

    Raises InputError when a feature refuses an item.
    """
    import tvm_ffi

    tvm_runtime.use_threads(tvm_runtime.cores())
    function = new_machine(library)[FUNCTION]
    stacks = [tvm_ffi.from_dlpack(open_stack(folder, stack, MAPPED)) for stack in manifest.stacks]
    total = entry.rows + 1
    files = [(folder / value.file).open("wb") for value in entry.values]
    try:
        for number, first in enumerate(range(0, total, BATCH_ROWS)):
            if number % SAY_EVERY == 0:
                say(f"computing the values of the items ({first:,} of {entry.rows:,})")
            end = min(first + BATCH_ROWS, total)
            table = _table(manifest, columns, first, end)
            results = function(table.words, tvm_ffi.Shape((1, end - first)), *stacks)
            _check(manifest, entry, np.from_dlpack(results[len(files)]), first)
            for k, file in enumerate(files):
                np.ascontiguousarray(np.from_dlpack(results[k])).tofile(file)
    finally:
        for file in files:
            file.close()


def _table(manifest: Manifest, columns: Sequence[pa.Array | None], first: int, end: int) -> Table:
    table = Table([replace(use, legacy=False) for use in manifest.item_fields])  # converted already
    for k, column in enumerate(columns):
        if column is not None:
            part = column.slice(first, end - first)
            table.fill(k, part, end - first, f"items column {manifest.item_fields[k].name!r}")
    return table


def _check(manifest: Manifest, entry: StoreEntry, status: np.ndarray, first: int) -> None:
    """Raise InputError for what the statuses of a batch say; `first` is its first row."""
    if not status.any():
        return
    at = max(1, len(manifest.item_fields))
    check(manifest.item_fields, status[:at])
    for group in entry.refusals:
        end = at + max(1, len(group))
        try:
            raise_refusal(status[at:end], [Refusal(feature=feature, rule=rule) for feature, rule in group])
        except RowError as error:
            row = first + error.row
            if row == entry.rows:
                raise InputError(f"feature {error.feature!r} refuses an item whose fields are all missing: {error}") from error
            raise RowError(error.feature, row, error.reason) from error
        at = end
