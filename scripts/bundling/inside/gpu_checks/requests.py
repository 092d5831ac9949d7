"""Requests of the benchmarks: written into the bundle, or made by seed where that is smaller."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pyarrow as pa

from gpu_checks import many_columns
from gpu_checks.places import places

OF_REQUEST = "request"  # the column of items that says whose they are
LOOKUP_FIELDS, LOOKUP_ROWS = 16, 1_000_000
RANK_BENCH, WITH_STORE = "rank_bench", "rank_bench_store"
STORE_ITEMS, STORE_KEY = 512, "item {}"  # as scripts/bundling/artifacts.py has them


def requests_of(bundle: pathlib.Path, workload: str, rows: int) -> list[dict[str, Any]]:
    """Arguments of `rank`, each with so many items."""
    if workload == "many_columns":
        return [{"items": many_columns.items(many_columns.columns(), rows, seed)} for seed in range(2)]
    if workload == "lookups":
        return [{"items": _ids(rows, seed)} for seed in range(4)]
    if workload == WITH_STORE:
        return _of_store(_read(bundle / "requests" / RANK_BENCH / "user.arrow"), rows)
    user, items = (_read(bundle / "requests" / workload / name) for name in ("user.arrow", "items.arrow"))
    return [
        {"user": user.slice(request, 1).combine_chunks(), "items": items.take(pa.array(chosen)).combine_chunks()}
        for request, chosen in places(items.column(OF_REQUEST).to_numpy(), rows)
    ]


def _of_store(user: pa.Table, rows: int) -> list[dict[str, Any]]:
    """Keys of items for each user; one of them is not in the store."""
    asked = []
    for number in range(user.num_rows):
        chosen = np.random.default_rng([4, number]).integers(0, STORE_ITEMS, rows)
        keys = [STORE_KEY.format(k) for k in chosen.tolist()]
        asked.append({"user": user.slice(number, 1).combine_chunks(), "item_ids": pa.array(["none", *keys[1:]])})
    return asked


def _ids(rows: int, seed: int) -> pa.RecordBatch:
    """Ids anywhere in large tables, a column for each feature."""
    rng = np.random.default_rng([3, seed])
    arrays = [pa.array(rng.integers(0, LOOKUP_ROWS, rows)) for _ in range(LOOKUP_FIELDS)]
    return pa.RecordBatch.from_arrays(arrays, names=[f"id{k}" for k in range(LOOKUP_FIELDS)])


def _read(path: pathlib.Path) -> pa.Table:
    with pa.OSFile(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
