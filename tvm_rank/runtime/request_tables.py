"""The descriptor tables of a request's columns of any kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvm_rank.artifact.manifest import Manifest
from tvm_rank.runtime.columns import FieldUse, Table
from tvm_rank.runtime.row_map import Rows


def tables_of(manifest: Manifest, user: Mapping[str, Any], items: Mapping[str, Any] | None, rows: Rows) -> tuple[Table, Table]:
    """The tables of both sides; without `items`, the rows of item fields stay empty."""
    index = rows.row_map if rows.requests > 1 else None
    return (
        _table(manifest.request_fields, user, rows.requests, {}, 0, None),
        _table(manifest.item_fields, user, rows.requests, items, rows.items, index),
    )


def _table(
    uses: Sequence[FieldUse],
    user: Mapping[str, Any],
    requests: int,
    items: Mapping[str, Any] | None,
    count: int,
    index: np.ndarray | None,
) -> Table:
    table = Table(uses)
    for k, use in enumerate(uses):
        if use.is_request:
            table.fill(k, user[use.name], requests, f"user column {use.name!r}", index)
        elif items is not None:
            table.fill(k, items[use.name], count, f"item column {use.name!r}")
    return table
