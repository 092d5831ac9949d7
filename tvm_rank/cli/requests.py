"""A user table and an item table, split into requests."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvm_rank.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tvm_rank.precision import Samples

REQUEST_COLUMN = "request"


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One row of user (None without a user table) and its items; `rows` are the items' places in the item file, (N,) int64."""

    number: int
    user: pa.Table | None
    items: pa.Table
    rows: np.ndarray


def split_requests(user: pa.Table | None, items: pa.Table, column: str | None) -> Iterator[Request]:
    """The requests that have items, in the order of their rows of `user`.

    column: the integer column of `items` that holds the row of `user`; None for `request` if there is one. Without one, all items
    belong to the only row of `user`. Raises InputError.
    """
    import numpy as np
    import pyarrow as pa

    owner = _owner(user, items, column)
    order = np.argsort(owner, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
        if not len(rows):  # the only part, when there are no items
            return
        number = int(owner[rows[0]])
        together = rows[-1] - rows[0] + 1 == len(rows)
        part = items.slice(int(rows[0]), len(rows)) if together else items.take(pa.array(rows)).combine_chunks()
        yield Request(number=number, user=None if user is None else user.slice(number, 1), items=part, rows=rows)


def as_samples(user: pa.Table | None, items: pa.Table, labels: Sequence[float] | None = None) -> Samples:
    """The requests of two tables; the column `request` of `items`, if there is one, is the row of `user`."""
    from tvm_rank.precision import Samples

    of = None
    if REQUEST_COLUMN in items.column_names:
        of = items[REQUEST_COLUMN].to_numpy()
        items = items.drop_columns([REQUEST_COLUMN])
    return Samples(user=user, items=items, item_request=of, labels=labels)


def read_requests(path: pathlib.Path) -> Samples:
    """Requests from a folder with a file `user` and a file `items`, of any kind that is read; or from a file of items alone, of a model
    that reads no user columns. Raises InputError."""
    from tvm_rank.cli.columns_file import SUFFIXES, read_columns

    if not path.is_dir():
        return as_samples(None, read_columns(path))
    found = {
        side: [file for file in sorted(path.glob(f"{side}.*")) if file.suffix.lower() in SUFFIXES] for side in ("user", "items")
    }
    if len(found["items"]) != 1 or len(found["user"]) > 1:
        names = ", ".join(file.name for files in found.values() for file in files) or "neither"
        raise InputError(f"{path}: wanted one file items.arrow (or .parquet, ...) and one user.arrow; it has {names}")
    return as_samples(*(read_columns(file[0]) if (file := found[side]) else None for side in ("user", "items")))  # type: ignore[arg-type]


def _owner(user: pa.Table | None, items: pa.Table, column: str | None) -> np.ndarray:
    """The row of user of each item, (N,) int64."""
    import numpy as np
    import pyarrow as pa

    count = 1 if user is None else user.num_rows
    name = column or REQUEST_COLUMN
    if name not in items.column_names:
        if column is not None:
            raise InputError(f"items: no column {column!r} for --request-column; it has {', '.join(items.column_names)}")
        if count != 1:
            raise InputError(f"user has {count} rows; name the column of items that holds the row of user with --request-column")
        return np.zeros(items.num_rows, np.int64)
    given = items.column(name)
    try:
        owner = given.cast(pa.int64())
    except pa.ArrowException as error:
        raise InputError(f"items column {name!r}: wanted the row of user of each item; got {given.type} ({error})") from error
    if pa.types.is_floating(given.type) or owner.null_count:
        raise InputError(f"items column {name!r}: wanted an integer for each item; got {given.type} with {owner.null_count} nulls")
    rows = owner.to_numpy()
    if len(rows) and not 0 <= rows.min() <= rows.max() < count:
        raise InputError(f"items column {name!r}: leads to rows {rows.min()} to {rows.max()} of user, which has {count} rows")
    return rows
