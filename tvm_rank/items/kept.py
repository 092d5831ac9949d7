"""The columns of a store that keep what features give: ids, weighted ids and numbers, by the kernels of the artifact.

one id for each item          int32 (int64 for wider id spaces)          7 · 3 · 0
ids                           list<int32>                                [7 2] · [] · [5]
weighted ids                  map<int32, float32>                        {7: 0.5, 2: 1}
ids of elements               list<list<int32>>, or list<int32> where each element has one
numbers                       float32, or list<float32>
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.artifact.manifest import KEPT_PREFIX, KeptEntry, KeptFeature, Manifest
from tvm_rank.errors import InputError, RowError
from tvm_rank.output import FeatureOutput
from tvm_rank.runtime.columns import Table
from tvm_rank.runtime.library import kernel
from tvm_rank.runtime.links import vectors
from tvm_rank.runtime.program import FeatureProgram, IdEntry, ProgramPlan, Refusal

BATCH_ROWS = 1 << 16
INT32_IDS = 2**31


def kept_columns(
    folder: pathlib.Path,
    manifest: Manifest,
    entry: KeptEntry,
    columns: Sequence[pa.Array | None],
    library: Any,
    say: Callable[[str], None],
) -> dict[str, pa.Array]:
    """The columns by name, in the order of the fields. columns: for each field that a kernel reads its column, with the row of missing items;
    None for request fields. Raises InputError when a feature refuses an item."""
    uses = [replace(use, legacy=False) for use in manifest.item_fields[: len(columns)]]  # converted already
    program = _program(folder, entry, uses, library)
    total = next(len(column) for column in columns if column is not None)
    parts = []
    for first in range(0, total, BATCH_ROWS):
        say(f"computing the ids of the items ({first:,} of {total - 1:,})")
        table, rows = Table(uses), min(BATCH_ROWS, total - first)
        for k, column in enumerate(columns):
            if column is not None:
                table.fill(k, column.slice(first, rows), rows, f"items column {uses[k].name!r}")
        try:
            parts.append(program.of_table(table, rows))
        except RowError as error:
            if first + error.row == total - 1:
                raise InputError(f"feature {error.feature!r} refuses an item whose fields are all missing: {error}") from error
            raise RowError(error.feature, first + error.row, error.reason) from error
    return {feature.column: _column(feature, [part[feature.name] for part in parts]) for feature in entry.features}


def _program(folder: pathlib.Path, entry: KeptEntry, uses: Sequence[Any], library: Any) -> FeatureProgram:
    plan = ProgramPlan(
        uses=tuple(uses),
        features=tuple(feature.name for feature in entry.features),
        ids=tuple(IdEntry(f.name, f.weighted, f.is_sequence) for f in entry.features if not f.width),
        numbers=tuple((f.name, f.width) for f in entry.features if f.width),
        constants={name: vectors(folder, constants) for name, constants in entry.constants.items()},
        refusals={name: tuple(Refusal(feature=f, rule=r) for f, r in pairs) for name, pairs in entry.refusals.items()},
        block_rows=entry.block_rows,
    )
    kernels = {name: kernel(library, KEPT_PREFIX + name) for name in entry.constants}
    others = ("check_columns", *(("copy_pieces",) if plan.ids else ()))
    return FeatureProgram(plan, kernels | {name: kernel(library, name) for name in others})


def _column(feature: KeptFeature, parts: Sequence[FeatureOutput]) -> pa.Array:
    """The column of one feature; `parts` are those of batches of rows."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    if feature.width:
        dense = joined("dense").reshape(-1).astype(np.float32)
        if feature.width == 1:
            return pa.array(dense)
        return _lists(np.full(len(dense) // feature.width, feature.width), pa.array(dense))
    values = joined("values")
    ids, lengths = pa.array(values.astype(np.int32) if feature.id_space <= INT32_IDS else values), joined("lengths")
    if feature.weighted:
        return pa.MapArray.from_arrays(_offsets(lengths), ids, pa.array(joined("weights").astype(np.float32)))
    if feature.is_sequence:
        keys = joined("key_lengths")
        return _lists(lengths, ids if (keys == 1).all() else _lists(keys, ids))
    return ids if (lengths == 1).all() else _lists(lengths, ids)


def _lists(lengths: np.ndarray, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(_offsets(lengths), values)


def _offsets(lengths: np.ndarray) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    if ends[-1] >= INT32_IDS:
        raise InputError("items: a feature has more than 2,147,483,647 ids; split the items over several artifacts")
    return pa.array(ends.astype(np.int32))
