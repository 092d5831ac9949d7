"""The requests that kernels and models are measured on: given ones, or those that an artifact carries as samples."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.artifact.samples import GENERATED, SampleRequests
from tvm_rank.errors import TuningError
from tvm_rank.precision import Samples
from tvm_rank.runtime.columns import as_array, as_columns

COUNT = 8  # different requests of a size, taken in turn: table rows are not always those of the call before
USER, ITEMS = "user_{}.arrow", "items_{}.arrow"


@dataclass(frozen=True, kw_only=True, eq=False)
class RequestData:
    """user: a row for each request, None when the model reads no user columns · items: their items · first: for each request, where its
    items begin · source: what a reader is told of them."""

    user: pa.RecordBatch | None
    items: pa.RecordBatch
    first: tuple[int, ...]
    source: str

    @classmethod
    def of_artifact(cls, samples: SampleRequests, source: str) -> RequestData:
        """The samples that an artifact has; `source` as of `SamplesEntry`."""
        told = "generated from the configuration" if source == GENERATED else "the samples of the artifact"
        first = np.searchsorted(samples.item_request, np.arange(samples.requests))
        return cls(
            user=samples.user, items=samples.items, first=tuple(first.tolist()), source=f"{told}, {samples.items.num_rows} items"
        )

    @classmethod
    def of(cls, given: Samples) -> RequestData:
        """Requests of a user. Raises TuningError when there are no items, or a column is damaged."""
        user = None if given.user is None else _batch(given.user, "user")
        items = _batch(given.items, "items")
        if not items.num_rows:
            raise TuningError("requests: have no items")
        count = 1 if user is None else user.num_rows
        of = np.zeros(items.num_rows, np.int64) if given.item_request is None else np.asarray(given.item_request)
        order = np.argsort(of, kind="stable")
        items, of = items.take(pa.array(order)) if np.any(np.diff(order) != 1) else items, of[order]
        rows, first = np.unique(of, return_index=True)
        if rows[0] < 0 or rows[-1] >= count:
            raise TuningError(f"requests: items lead to rows {rows[0]} to {rows[-1]} of user, which has {count} rows")
        if user is not None and len(rows) < count:
            user = user.take(pa.array(rows))
        told = f"given, {len(rows)} requests, {items.num_rows} items, {_digest([items, *([] if user is None else [user])])}"
        return cls(user=user, items=items, first=tuple(first.tolist()), source=told)

    def request(self, number: int, rows: int) -> dict[str, pa.RecordBatch]:
        """Arguments of `Engine.rank`: one of the requests with exactly so many items, its own ones first, then those of the requests behind
        it, from the begin again behind the last one."""
        turn, of = divmod(number, len(self.first))
        places = (self.first[of] + turn * rows + np.arange(rows)) % self.items.num_rows
        taken = {"items": self.items.take(pa.array(places))}
        return taken if self.user is None else {"user": self.user.slice(of, 1), **taken}

    def requests(self, rows: int) -> list[dict[str, pa.RecordBatch]]:
        """COUNT requests with so many items each."""
        return [self.request(number, rows) for number in range(COUNT)]

    def write(self, folder: pathlib.Path, rows: int) -> pathlib.Path:
        """Write `requests(rows)` into a folder inside of `folder`, once."""
        path = folder / f"requests_{rows}"
        if not path.exists():
            path.mkdir()
            for number, request in enumerate(self.requests(rows)):
                for name, batch in ((USER, request.get("user")), (ITEMS, request["items"])):
                    if batch is not None:
                        with (
                            pa.OSFile(str(path / name.format(number)), "wb") as sink,
                            pa.ipc.new_file(sink, batch.schema) as writer,
                        ):
                            writer.write_batch(batch)
        return path


def read_requests(folder: str) -> list[Mapping[str, pa.RecordBatch]]:
    """What `RequestData.write` wrote."""
    found: list[Mapping[str, pa.RecordBatch]] = []
    for number in range(COUNT):
        names = {"user": USER.format(number), "items": ITEMS.format(number)}
        paths = {side: pathlib.Path(folder, name) for side, name in names.items()}
        found.append({side: _read(path) for side, path in paths.items() if path.exists()})
    return found


def _read(path: pathlib.Path) -> pa.RecordBatch:
    with pa.OSFile(str(path), "rb") as source:
        return pa.ipc.open_file(source).get_batch(0)


def _batch(columns: Any, where: str) -> pa.RecordBatch:
    found, _ = as_columns(columns, where)
    arrays = {name: as_array(column, f"{where} column {name!r}") for name, column in found.items()}
    for name, array in arrays.items():
        try:
            array.validate(full=True)  # rows are taken of it, and Arrow follows offsets without looking
        except pa.ArrowInvalid as error:
            raise TuningError(f"requests: {where} column {name!r} is damaged ({error})") from error
    return pa.record_batch(list(arrays.values()), names=list(arrays))


def _digest(batches: Sequence[pa.RecordBatch]) -> str:
    """8 hexadecimal digits that stand for the values."""
    digest = hashlib.blake2b(digest_size=4)
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        digest.update(sink.getvalue())
    return digest.hexdigest()
