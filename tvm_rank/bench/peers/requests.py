"""The requests of a workload, as every contestant gets them: Arrow tables."""

from __future__ import annotations

import pathlib

import pyarrow as pa

REQUEST_COLUMN = "request"
Request = tuple[pa.Table, pa.Table]  # one row of the user, the items


def read_requests(folder: str, count: int, items: int) -> list[Request]:
    """(user, items) of the first `count` requests, of each the first `items` items, every column in one chunk of its own memory."""
    user, rows = _read(folder, "user.arrow"), _read(folder, "items.arrow")
    of = rows.column(REQUEST_COLUMN).to_numpy()
    rows = rows.drop_columns([REQUEST_COLUMN])
    found = []
    for request in range(min(count, user.num_rows)):
        chosen = (of == request).nonzero()[0][:items]
        found.append((user.take(pa.array([request])).combine_chunks(), rows.take(pa.array(chosen)).combine_chunks()))
    return found


def _read(folder: str, name: str) -> pa.Table:
    with pa.OSFile(str(pathlib.Path(folder) / name)) as source:
        return pa.ipc.open_file(source).read_all()
