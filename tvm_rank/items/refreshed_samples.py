"""Samples after a refresh: their scores are those of the fields that items had, so what is another item now is left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.artifact.samples import SampleRequests, SamplesEntry

NONE_LEFT = "a refresh has changed all sampled items, and only compiling computes scores by NumPy"


def refreshed_samples(
    samples: SampleRequests, entry: SamplesEntry, items: Mapping[str, pa.Array], key: str
) -> tuple[SampleRequests | None, SamplesEntry]:
    """The samples whose items are still what they were, and their entry. items: the columns of the new items, under `key`."""
    places = pc.index_in(samples.items.column(key), items[key])
    now = {name: items[name].take(places) for name in samples.items.schema.names}
    rows = [row for row in range(samples.items.num_rows) if all(_same(samples.items.column(n), now[n], row) for n in now)]
    if not rows:
        return None, dataclasses.replace(entry, requests=0, items=0, has_user=False, tolerances={}, missing=NONE_LEFT)
    kept = pa.array(rows)
    owners, item_request = np.unique(samples.item_request[rows], return_inverse=True)
    left = SampleRequests(
        user=None if samples.user is None else samples.user.take(pa.array(owners)),
        items=samples.items.take(kept),
        item_request=item_request.astype(np.int64),
        scores={name: scores[rows] for name, scores in samples.scores.items()},
    )
    return left, dataclasses.replace(entry, requests=left.requests, items=len(rows))


def _same(was: pa.Array, now: pa.Array, row: int) -> bool:
    return bool(was.slice(row, 1).equals(now.slice(row, 1)))
