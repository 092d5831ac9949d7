"""The engine: an artifact, loaded; raw request and item fields in, scores out."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.artifact import store
from tvm_rank.artifact.manifest import Manifest
from tvm_rank.errors import RankError
from tvm_rank.host.link import needed_columns
from tvm_rank.host.stage import ITEM, REQUEST
from tvm_rank.output import Scores
from tvm_rank.runtime import gpu, matrix_unit, tvm_runtime
from tvm_rank.runtime.direct import Output
from tvm_rank.runtime.gpu_memory import OnGpu
from tvm_rank.runtime.host_columns import open_host, with_host_columns
from tvm_rank.runtime.item_store import ItemStore
from tvm_rank.runtime.library import kernel, open_library
from tvm_rank.runtime.links import Links, with_link_columns
from tvm_rank.runtime.machines import RANK, RANK_STORE, Machine, Machines
from tvm_rank.runtime.program import Refusal, check, raise_refusal
from tvm_rank.runtime.read_side import read_side
from tvm_rank.runtime.record_batch import NO_COLUMNS, one_batch, plan
from tvm_rank.runtime.request_tables import tables_of
from tvm_rank.runtime.row_map import RowMap, Rows
from tvm_rank.runtime.stacks import MAPPED, MEMORY, open_stack
from tvm_rank.runtime.this_machine import check_machine, gpu_of


def load(
    path: str | os.PathLike[str],
    device: str | None = None,
    threads: int | None = None,
    *,
    verify: bool = True,
    tables: str = MAPPED,
    cuda_graphs: bool = True,
) -> Engine:
    """Load an artifact.

    device: None for what the artifact was compiled for, or "cpu" or "cuda", to be refused when that is the other one · threads: how many
    threads one `rank` uses, None for all cores · verify: False skips the checksums (sizes are always checked) · tables: "mapped" shares
    the tables' pages with all processes that load the artifact and reads them when they are first needed; "memory" reads them at once
    into memory of this process, in huge pages where the system has them, so that random rows cost fewer address translations; a GPU has
    them in its own · cuda_graphs: on a GPU, launch the kernels of requests whose shape comes again as one graph.

    Raises ArtifactError when the artifact is damaged, of another schema, or for another machine, or does not fit into the GPU's memory.
    """
    if device not in (None, "cpu", "cuda"):
        raise RankError(f"device {device!r}: give 'cpu' or 'cuda', or None for what the artifact was compiled for")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise RankError(f"threads={threads!r}: give a number of at least 1, or None for all cores")
    if tables not in (MAPPED, MEMORY):
        raise RankError(f"tables={tables!r}: give {MAPPED!r} or {MEMORY!r}")
    folder = pathlib.Path(path)
    manifest = store.read(folder, verify=verify)
    check_machine(manifest, str(folder))
    if device not in (None, made_for := "cpu" if gpu_of(manifest.needs) is None else "cuda"):
        raise RankError(
            f"device {device!r}: {folder} was compiled for {made_for} (target {manifest.target}); compile it with another target"
        )
    return Engine(folder, manifest, threads or tvm_runtime.cores(), tables, cuda_graphs=cuda_graphs)


NO_FIELDS = pa.schema([])


class Engine:
    """A loaded artifact. Threads may share it: each call works in a virtual machine of its own, kept for the next call."""

    def __init__(self, folder: pathlib.Path, manifest: Manifest, threads: int, tables: str = MAPPED, *, cuda_graphs: bool = True):
        tvm_runtime.load()
        import tvm_ffi

        self.manifest, self.threads = manifest, threads
        self._gpu, self._has_graphs = gpu_of(manifest.needs), cuda_graphs
        self._host = open_host(folder, manifest.host_stages)
        with contextlib.nullcontext() if self._gpu is None else gpu.kernels_of(folder):
            self._library = open_library(folder)
        matrix_unit.enable(self._library, manifest, str(folder))
        self._links = Links(folder, manifest.links, self._library, threads) if manifest.links else None
        self._store = ItemStore(folder, manifest, kernel(self._library, "check_columns"), tables) if manifest.store else None
        files = [*([] if self._store is None else self._store.values), *(open_stack(folder, s, tables) for s in manifest.stacks)]
        self._on_gpu = None if self._gpu is None else OnGpu(self._library, folder, files, self._store)
        self._arrays = [tvm_ffi.from_dlpack(file) for file in files] if self._on_gpu is None else self._on_gpu.arrays
        self._refusals = [[Refusal(feature=f, rule=r) for f, r in group] for group in manifest.refusals]
        self._outputs = tuple(output.name for output in manifest.outputs)
        self._item = tvm_ffi.get_global_func("ffi.ArrayGetItem")  # a tenth of the time of [], which asks for slices
        self._known: tuple[pa.Schema, pa.Schema, bool, tuple[Any, ...] | None] | None = None
        self._needs_user = bool(_names(manifest, request=True))
        self._row_map = RowMap()
        self.machines = Machines(self._new_machine)

    def _new_machine(self) -> Machine | gpu.GpuMachine:
        if self._gpu is not None:
            return gpu.GpuMachine(self._library, graphs=self._has_graphs)
        outputs = [Output(output.shape, output.dtype) for output in self.manifest.outputs]
        uses = (self.manifest.request_fields, self.manifest.item_fields)
        outputs.append(Output([str(sum(max(1, len(part)) for part in (*uses, *self._refusals)))], "int64"))
        return Machine.of(self._library, RANK if self._store is None else RANK_STORE, outputs)

    @property
    def user_fields(self) -> tuple[str, ...]:
        """The columns that `user` must have."""
        return self._needed(REQUEST)

    @property
    def item_fields(self) -> tuple[str, ...]:
        """The columns that `items` must have; with an item store, its key, of which `rank` also takes an array."""
        if self._store is not None:
            return (self._store.entry.key,)
        return self._needed(ITEM)

    def _needed(self, side: str) -> tuple[str, ...]:
        manifest = self.manifest
        return needed_columns(manifest.links, manifest.host_stages, _names(manifest, request=side == REQUEST), side)

    def rank(self, user: Any = None, items: Any = None, item_request: Any = None, item_ids: Any = None) -> Scores:
        """Score items.

        user: user and context columns, one row per request (R) · items: item columns, one row per item (N) · item_request: for R > 1,
        (N,) integers, the row of `user` that each item belongs to. Columns are pyarrow, NumPy or lists; `user` and `items` are a
        pyarrow Table or RecordBatch, or a dict of columns. An artifact with an item store takes ids, as `item_ids` or as `items` (an array,
        or a table with the key column); an id that the store does not have is scored with defaults and listed in `missing` of the result.
        Gives {ONNX output name: array with N rows}.

        Raises InputError for a missing column, a wrong type, ragged lengths, or a value that a feature refuses.
        """
        if self._links is not None:
            needed = (self.user_fields, None if self._store is not None else self.item_fields)
            user, items = with_link_columns(self._links, user, items, item_request, self._row_map, needed)
        if self._host.stages:
            user = with_host_columns(self._host, user, REQUEST, "user", self.user_fields)
        if self._store is not None:
            return self._rank_ids(self._store, user, items if item_ids is None else item_ids, item_request)
        if item_ids is not None:
            raise RankError("item_ids: this artifact has no item store; give the item columns as `items`, or compile with `items`")
        if self._host.stages:
            items = with_host_columns(self._host, items, ITEM, "items", self.item_fields)
        if self._gpu is not None:
            return self._rank_columns(user, items, item_request)
        user_batch, item_batch = self._user_batch(user), one_batch(items, "items")
        if user_batch is not None and item_batch is not None:
            plans = self._plans_for(user_batch.schema, item_batch.schema, mapped=user_batch.num_rows > 1)
            if plans is not None:
                rows = self._row_map.rows(item_request, user_batch.num_rows, item_batch.num_rows)
                return self._rank_batches(user_batch, item_batch, rows, plans)
        return self._rank_columns(user, items, item_request)

    def _user_batch(self, user: Any) -> pa.RecordBatch | None:
        """`user` as one record batch, of one row when a model without user columns is given none."""
        return NO_COLUMNS if user is None and not self._needs_user else one_batch(user, "user")

    def _rank_batches(
        self, user: pa.RecordBatch, items: pa.RecordBatch | None, rows: Rows, plans: tuple[Any, ...], *of_store: np.ndarray
    ) -> Scores:
        """Rank record batches, whose structs a kernel reads; of items of the store there is none."""
        if not rows.items:
            return self._no_scores()
        with self.machines.taken() as machine:
            structs = machine.structs
            try:
                structs.export(user, items, rows.address if rows.requests > 1 else 0)
                direct = None if machine.is_watched else machine.direct
                if direct is not None and direct.is_ready(plans):
                    tvm_runtime.use_threads(self.threads)
                    return self._scores(direct.run(rows))
                results = self._results(machine.rank_batches, (structs.sources, *plans, *of_store), rows)
                if direct is not None and not direct.prepare(structs.sources, plans, rows, self._arrays, results):
                    machine.direct = None
                return self._scores(results)
            finally:
                structs.release()

    def _rank_columns(self, user: Any, items: Any, item_request: Any) -> Scores:
        """Rank columns of any kind."""
        user_columns, requests = read_side(user, _names(self.manifest, request=True), "user")
        item_columns, count = read_side(items, _names(self.manifest, request=False), "items")
        rows = self._row_map.rows(item_request, requests, count)
        if not count:
            return self._no_scores()
        tables = tables_of(self.manifest, user_columns, item_columns, rows)
        with self.machines.taken() as machine:
            words = tuple(table.words for table in tables)
            if self._gpu is not None:
                return self._run_on_gpu(machine, words, rows)
            return self._scores(self._results(machine.rank_columns, words, rows))

    def _rank_ids(self, store: ItemStore, user: Any, given: Any, item_request: Any) -> Scores:
        """Rank items of the store."""
        keep: list[Any] = []
        ids = store.ids(given)
        count, of_store = len(ids), (store.id_words(ids, keep), store.keys, store.slots, store.words)
        user_batch = self._user_batch(user)
        plans = None
        if user_batch is not None and self._gpu is None:
            plans = self._plans_for(user_batch.schema, NO_FIELDS, mapped=user_batch.num_rows > 1)
        if user_batch is not None and plans is not None:
            rows = self._row_map.rows(item_request, user_batch.num_rows, count)
            return self._rank_batches(user_batch, None, rows, plans, *of_store)
        columns, requests = read_side(user, _names(self.manifest, request=True), "user")
        rows = self._row_map.rows(item_request, requests, count)
        if not count:
            return self._no_scores()
        tables = tables_of(self.manifest, columns, None, rows)
        with self.machines.taken() as machine:
            words = tuple(table.words for table in tables)
            if self._gpu is not None:
                return self._run_on_gpu(machine, words, rows, of_store[0])
            return self._scores(self._results(machine.rank_columns, (*words, *of_store), rows))

    def _results(self, function: Callable, columns: Sequence[Any], rows: Rows) -> list[np.ndarray]:
        """Call a function of the machine: outputs, the status, and with a store the row of each item there. What `columns` points to must stay
        alive meanwhile."""
        tvm_runtime.use_threads(self.threads)
        found = function(*columns, rows.shape, rows.tensor, *self._arrays)
        count = len(self._outputs) + (1 if self._store is None else 2)
        return [np.from_dlpack(self._item(found, k)).copy() for k in range(count)]

    def _scores(self, results: Sequence[np.ndarray]) -> Scores:
        status = results[len(self._outputs)]
        if np.count_nonzero(status):  # a third of the time of any(), which is a function of Python
            self._refuse(status)
        scores = Scores(zip(self._outputs, results, strict=False))
        if self._store is not None:
            scores.missing = np.flatnonzero(results[-1] == self._store.entry.rows)
        return scores

    def _run_on_gpu(
        self, machine: gpu.GpuMachine, tables: Sequence[np.ndarray], rows: Rows, ids: np.ndarray | None = None
    ) -> Scores:
        """Bring the columns to the GPU once they have been checked, and the scores back. ids: of items of the store."""
        assert self._on_gpu is not None
        statuses = [machine.check(table) for table in (*tables, *([] if ids is None else [ids]))]
        if any(status.any() for status in statuses):
            self._refuse(np.concatenate(statuses))
        fields = None if ids is None else self._on_gpu.found(ids, rows.items)
        results, count = machine.run(tables, rows, fields, self._arrays), len(self._outputs)
        if (status := np.concatenate([*statuses, *results[count:]])).any():
            self._refuse(status)
        scores = Scores(zip(self._outputs, results, strict=False))
        if fields is not None and self._store is not None:
            scores.missing = np.flatnonzero(fields.rows == self._store.entry.rows)
        return scores

    def _refuse(self, status: np.ndarray) -> None:
        """Raise InputError for what the statuses say: of the request's columns, of the items' columns, of the kernels of features."""
        first = 0
        ids = [] if self._store is None else [[self._store.key_use]]
        for uses in (self.manifest.request_fields, self.manifest.item_fields, *ids):
            end = first + max(1, len(uses))
            check(uses, status[first:end])
            first = end
        for refusals in self._refusals:
            end = first + max(1, len(refusals))
            raise_refusal(status[first:end], refusals)
            first = end

    def _no_scores(self) -> Scores:
        return Scores({o.name: np.zeros([0 if e == "N" else int(e) for e in o.shape], o.dtype) for o in self.manifest.outputs})

    def _plans_for(self, user: pa.Schema, items: pa.Schema, *, mapped: bool) -> tuple[Any, ...] | None:
        """The plans of both descriptor tables for these schemas; the last ones are kept, since requests rarely change theirs."""
        known = self._known
        if known is None or known[2] != mapped or not known[0].equals(user) or not known[1].equals(items):
            import tvm_ffi

            stored = self._store is not None
            made = [
                plan(self.manifest.request_fields, user, items, mapped=False),
                plan(self.manifest.item_fields, user, items, mapped=mapped, stored=stored),
            ]
            plans = None if any(entry is None for entry in made) else tuple(tvm_ffi.from_dlpack(entry) for entry in made)
            self._known = known = (user, items, mapped, plans)
        return known[3]


def _names(manifest: Manifest, *, request: bool) -> tuple[str, ...]:
    uses = (*manifest.request_fields, *manifest.item_fields)
    return tuple(dict.fromkeys(use.name for use in uses if use.is_request == request))
