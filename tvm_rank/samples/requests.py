"""The requests that are kept as samples: the first ones that were given, or generated ones."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.artifact.samples import SampleRequests
from tvm_rank.errors import InputError
from tvm_rank.precision import Samples
from tvm_rank.runtime.columns import as_array, as_columns, find_column
from tvm_rank.runtime.read_side import read_side
from tvm_rank.runtime.row_map import RowMap
from tvm_rank.samples.expected import NoScores
from tvm_rank.samples.generate import CONSTANT, RICH, Shape, column
from tvm_rank.samples.wanted import Wanted

REQUESTS, ITEMS = 2, 8  # items of each request
MOST_BYTES = 256_000
NUMBER = "item"  # the column that says how many items there are, where the model reads none of them


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """user, items: the names of the columns that requests bring · key: the key column of the item store, "" without one · stored: the
    columns of all its items by name, the key among them."""

    user: Sequence[str]
    items: Sequence[str]
    key: str = ""
    stored: Mapping[str, pa.Array] | None = None


def item_rows(requests: SampleRequests, columns: Columns) -> dict[str, pa.Array]:
    """Every column that features read, with a row for each item. Raises NoScores for a column of both sides that has other values there."""
    found = {name: requests.items.column(name) for name in columns.items}
    for name in columns.user:
        assert requests.user is not None, "user columns are read"
        repeated = requests.user.column(name).take(pa.array(requests.item_request))
        if name in found and not found[name].equals(repeated):
            raise NoScores(f"the column {name!r} is read of user and of items, and differs between them")
        found[name] = repeated
    return found


# ---------------------------------------------------------------- given


def first_requests(samples: Samples, columns: Columns) -> SampleRequests | None:
    """The first REQUESTS requests of the samples that have items, with their first ITEMS items; None when one item is larger than
    MOST_BYTES. Raises InputError for samples that are no requests."""
    user, requests = read_side(samples.user, tuple(columns.user), "samples.user")
    if columns.stored is None:
        items, count = read_side(samples.items, tuple(columns.items), "samples.items")
    else:
        ids = _ids(samples, columns)
        count, items = len(ids), _of_store(ids, columns)
    of = RowMap().index(samples.item_request, requests, count).astype(np.int64)
    for most in (ITEMS, ITEMS // 2, 1):
        chosen = [np.flatnonzero(of == request)[:most] for request in list(dict.fromkeys(of.tolist()))[:REQUESTS]]
        if not chosen:
            raise InputError("samples: have no items")
        made = _taken(user, items, of, chosen)
        if made.bytes <= MOST_BYTES:
            return made
    return None


def _taken(
    user: Mapping[str, pa.Array], items: Mapping[str, pa.Array], of: np.ndarray, chosen: Sequence[np.ndarray]
) -> SampleRequests:
    rows = pa.array(np.concatenate(chosen))
    owners = pa.array([int(of[part[0]]) for part in chosen])
    item_request = np.repeat(np.arange(len(chosen)), [len(part) for part in chosen])
    return SampleRequests(
        user=_batch({name: _rows(array, owners) for name, array in user.items()}) if user else None,
        items=_batch({name: _rows(array, rows) for name, array in items.items()} or {NUMBER: rows}),
        item_request=item_request if user else np.zeros(len(rows), np.int64),
        scores={},
    )


def _rows(array: pa.Array, rows: pa.Array) -> pa.Array:
    """These rows of a column; one row serves all."""
    return array.take(rows if len(array) != 1 else pa.array([0] * len(rows)))


def _batch(columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    return pa.record_batch(list(columns.values()), names=list(columns))


def _ids(samples: Samples, columns: Columns) -> pa.Array:
    given: Any = samples.items if samples.item_ids is None else samples.item_ids
    if isinstance(given, (pa.Table, pa.RecordBatch, dict)):
        given = find_column(as_columns(given, "samples.items")[0], columns.key, "samples.items")
    if given is None:
        raise InputError(f"samples: give the ids ({columns.key!r}) of their items")
    assert columns.stored is not None, "ids are those of a store"
    return as_array(given, "samples.items").cast(columns.stored[columns.key].type)


def _of_store(ids: pa.Array, columns: Columns) -> dict[str, pa.Array]:
    """The ids with the fields that the store has; an id that it does not have is null, as are the fields then."""
    assert columns.stored is not None, "ids are those of a store"
    places = pc.index_in(ids, columns.stored[columns.key])
    return {name: array.take(places) for name, array in columns.stored.items()}


# ---------------------------------------------------------------- generated


def generated_requests(wanted: Mapping[str, Wanted], columns: Columns, levels: Mapping[str, int]) -> SampleRequests:
    """REQUESTS requests of ITEMS items. levels: how much a column varies, RICH if it is not named. With an item store its items are
    taken, from its begin to its end, and one that it does not have."""
    draw = random.Random("samples")
    shapes = {True: Shape.of(REQUESTS if columns.user else 1, draw), False: Shape.of(REQUESTS * ITEMS, draw)}

    def made(name: str, is_request: bool) -> pa.Array:
        both = name in columns.user and name in columns.items
        return column(wanted[name], shapes[is_request], random.Random(name), CONSTANT if both else levels.get(name, RICH))

    user = {name: made(name, True) for name in columns.user}
    if columns.stored is None:
        items = {name: made(name, False) for name in columns.items}
        count = REQUESTS * ITEMS
    else:
        items = _spread_over_store(columns)
        count = len(items[columns.key])
    requests = len(shapes[True].values)
    return SampleRequests(
        user=_batch(user) if user else None,
        items=_batch(items or {NUMBER: pa.array(range(count))}),
        item_request=np.arange(count) * requests // count,
        scores={},
    )


def _spread_over_store(columns: Columns) -> dict[str, pa.Array]:
    assert columns.stored is not None, "the items of a store"
    keys = columns.stored[columns.key]
    count = min(len(keys), REQUESTS * ITEMS - 1)
    places = np.unique(np.linspace(0, max(0, len(keys) - 1), count).astype(np.int64))
    ids = pa.concat_arrays([keys.take(pa.array(places)), pa.nulls(1, keys.type)])
    return _of_store(ids, columns)
